// How texts, names and columns become numbers: found in the data that are trained on, kept with the weights, and what
// other data are read by.
#pragma once

#include "runtime/data/Source.h"

#include <optional>
#include <set>

namespace kiln {

/// Of each column of a field.
struct Normalisation {
  std::vector<double> means, deviations;

  /// Those of `columns` of a source's file, over `rows` of `values`, which have as many columns; gaps (NaN) are left
  /// out, and a column that does not change keeps its deviation. Throws Error where one has no number.
  static Normalisation of(const SourceSpec &spec, const std::vector<size_t> &columns, const std::vector<int32_t> &rows,
                          const std::vector<float> &values);
  /// Rows of as many columns, in place: means where there are NaN.
  void fill(std::vector<float> &values) const;
  /// Likewise: (x - mean) / deviation.
  void apply(std::vector<float> &values) const;
  /// Back: x * deviation + mean.
  void undo(std::vector<float> &values) const;
};

/// Those of a file's metadata.
Codings codingsIn(const std::map<std::string, std::string> &metadata);

/// The names of classes in a text of codings, in the order of their numbers; `key` is for messages. Throws Error where
/// it is damaged.
std::vector<std::string> classesIn(const std::string &text, const std::string &key);

/// Of a text of codings; `key` is for messages. Throws Error where it is damaged.
Normalisation normalisationIn(const std::string &text, const std::string &key);

/// How many different words, characters or classes an input's numbers are of.
struct CodedNumbers {
  size_t count = 0;
  const char *what = ""; ///< "words"
};
/// Of "data.ids". Nothing where the codings do not have it, or it has the tokens of a tokenizer, which may have more
/// than are used. Throws Error where they are damaged.
std::optional<CodedNumbers> numbersOf(const Codings &codings, const std::string &input);
/// Of a field of an open source.
std::optional<CodedNumbers> numbersOf(const Source &source, const std::string &field);

/// Writes a note to stderr, unless it is for another to do so.
void note(const SourceContext &context, const std::string &text);

/// The vocabulary that the weights bring for a field; none: there is none, it is of another kind, or has more tokens
/// than the recipe says (`limit`, 0: any number), or another number where that is `exact`. The latter are told on
/// stderr. Throws Error where it is damaged, as all of these do.
std::optional<Vocabulary> givenVocabulary(const SourceContext &context, const std::string &field, Vocabulary::Kind kind,
                                          size_t limit, bool exact = false);
/// Which number each class of a field has.
struct ClassOrder {
  std::vector<std::string> names;
  const char *whose = ""; ///< for messages: "the recipe's classes"
  /// -1 for a class that there is not.
  int32_t find(const std::string &name) const;
  /// For messages of such a one: "is none of the recipe's classes", and which they are, or which is near.
  std::string lacks(const std::string &name) const;
};
/// The classes, in the order of their numbers, that the weights bring for a field whose data have `found`, or else
/// those that the model names, unless `found` are `numbers`; none: there are none, or more than the recipe says
/// (`limit`, 0: any number), or the data have others and are to be trained on; the latter two are told on stderr.
std::optional<ClassOrder> givenClasses(const SourceContext &context, const std::string &field,
                                       const std::set<std::string> &found, size_t limit = 0, bool numbers = false);
/// The names of classes or categories, in the order of their numbers, that the weights bring for a field; none: there
/// are none.
std::vector<std::string> givenNames(const SourceContext &context, const std::string &field);
/// The names of classes where the recipe writes them out (`classes=["no", "yes"]`); that the weights have others, or
/// another order, is told on stderr.
std::optional<std::vector<std::string>> recipeClasses(const SourceContext &context, const std::string &field);
/// By the recipe's names, by those that the weights or the model bring for a field whose data have `found`, else in
/// their sorted order. Throws Error where the data have more than the recipe's number; `what`: "folders of pictures".
ClassOrder orderClasses(const SourceContext &context, const std::string &field, const std::set<std::string> &found,
                        const char *what);
/// The means and deviations of `width` columns.
std::optional<Normalisation> givenNormalisation(const SourceContext &context, const std::string &field, size_t width);

/// Makes of rows of `columns` what the recipe wants (`missing="mean"`, `normalise=True`; of the field `target`
/// `normalise_target=True`): by the means and deviations that the weights bring for the field, else by those of `rows`.
/// Their text; an empty one where it wants nothing.
std::string normalise(const SourceContext &context, const std::string &field, const std::vector<size_t> &columns,
                      const std::vector<int32_t> &rows, std::vector<float> &values);

/// The texts of them; of no classes an empty one.
std::string textOf(const std::vector<std::string> &classes);
std::string textOf(const Normalisation &normalisation);

} // namespace kiln
