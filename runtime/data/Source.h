// Where batches come from.
#pragma once

#include "runtime/data/Vocabulary.h"
#include "runtime/program/Manifest.h"

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace kiln {

enum class Split : uint8_t { Train, Validation, Test };
const char *splitName(Split split);
/// "train", "validation" or "test"; throws Error.
Split splitFromName(const std::string &name);

/// Where one field of a batch goes; a field that nobody reads has no data.
struct FieldBuffer {
  kiln_dtype dtype = KILN_F32;
  void *data = nullptr;
  int64_t capacity = 0;                  // elements
  std::vector<int64_t> *shape = nullptr; // written by load()
};

/// How texts, names and columns became numbers, in the words and under the keys that weights and checkpoints have them
/// by in their metadata: kiln.vocabulary.DATA.FIELD, kiln.classes.DATA.FIELD, kiln.normalisation.DATA.FIELD (Coding.h).
/// Where several recipes have data of one name these are of the one that was last, and each has its own classes and
/// normalisation as RECIPE.DATA.FIELD.
using Codings = std::map<std::string, std::string>;
constexpr const char *vocabularyPrefix = "kiln.vocabulary.", *classesPrefix = "kiln.classes.",
                     *normalisationPrefix = "kiln.normalisation.";

/// The key by which a recipe has a coding of its own; the same one where there is none (`recipe` is empty, a
/// vocabulary).
std::string ownCoding(const std::string &key, const std::string &recipe);

/// What every reader is made from.
struct SourceContext {
  const SourceSpec *spec = nullptr;
  /// Instead of the recipe's path: --data NAME=PATH[,PATH]; empty for none.
  std::string override;
  /// Seed of the shuffles. (The split into train, validation and test does not depend on it: a run with another seed,
  /// or an evaluation without one, must never test on what was trained on.)
  uint32_t seed = 0;
  /// Folders to look in beside the current one, separated by ':'.
  std::string folders;
  /// What the weights bring to read this source by; null: nothing.
  const Codings *given = nullptr;
  /// The recipe, where another one has data of the same name: what the weights bring for this one goes before.
  std::string recipe;
  /// What the model calls its classes, for data that the weights bring nothing for; null: it does not say.
  const std::vector<std::string> *labels = nullptr;
  /// Of fields ("data.label"), how many classes the model has room for; none: that is not known.
  const std::map<std::string, size_t> *rooms = nullptr;
  /// Whether notes are for another who opens the source.
  bool quiet = false;
  /// Whether the source is for a training, which may have other classes than its weights had.
  bool trains = false;
};

/// A stream of batches, each a pure function of (seed, split, number): a resumed run needs nothing but the number.
class Source {
public:
  explicit Source(const SourceSpec &spec) : spec_(spec) {}
  virtual ~Source() = default;

  const SourceSpec &spec() const { return spec_; }
  /// Batches in one pass. The last one of validation and test may be smaller; training has whole batches only.
  virtual int64_t batches(Split split) const = 0;
  virtual bool hasSplits() const { return true; }
  /// Fills fields[i] with spec().fields[i] of batch `number` (training: counted on over the epochs).
  virtual void load(Split split, int64_t number, std::span<FieldBuffer> fields) = 0;

  /// By the names of fields ("ids", "source"); for a field with none: null.
  virtual const Vocabulary *vocabulary(const std::string &field) const { return nullptr; }
  virtual std::map<std::string, const Vocabulary *> vocabularies() const { return {}; }
  /// How it made numbers, but for vocabularies; an empty text: that a field has none, whatever the weights had.
  const Codings &codings() const { return codings_; }
  /// Adds how it made numbers, in place of what is there; of a recipe where others have such data, too.
  void addCodings(Codings &all, const std::string &recipe = "") const;

protected:
  /// Keeps one of a field; an empty text: that the field has none, whatever the weights had.
  void keepCoding(const char *prefix, const std::string &field, std::string text);
  /// Makes of rows of `columns` what the recipe wants of a field (`normalise`, of Coding.h), and keeps how.
  void keepNormalisation(const SourceContext &context, const std::string &field, const std::vector<size_t> &columns,
                         const std::vector<int32_t> &rows, std::vector<float> &values);

  const SourceSpec &spec_;

private:
  Codings codings_;
};

/// What opens the sources of one kind, by the recipe's name of it.
struct Reader {
  const char *name;
  std::unique_ptr<Source> (*open)(const SourceContext &);
};

extern "C" {
/// Those that there are, and a null. A program has those of its recipe, so that the linker drops the others: the driver
/// writes the list, by their names, into the program's image (elsewhere: AllReaders.cpp).
extern const Reader *const kiln_readers[];
extern const Reader kiln_reader_text, kiln_reader_csv, kiln_reader_arrays, kiln_reader_images, kiln_reader_folder,
    kiln_reader_boxes, kiln_reader_pairs, kiln_reader_table, kiln_reader_conll, kiln_reader_series, kiln_reader_squad,
    kiln_reader_masked, kiln_reader_corrupted, kiln_reader_skipgram;
}

/// Whether a recipe's source is of texts, and so has words; others are numbers, which no file is needed to know.
bool hasWords(const SourceSpec &spec);

/// Opens the recipe's source, or what --data puts in its place.
std::unique_ptr<Source> openSource(const SourceContext &context);

std::unique_ptr<Source> openBatches(const SourceContext &context, const std::string &path);

/// Whether a file's elements may stand for a field's: whole numbers for such, floats for floats; for these also bytes
/// and numbers of 16 bits, as pictures have them.
bool mayStandFor(kiln_dtype field, kiln_dtype file);

/// Copies `count` elements of a row-major block into a field, converting; throws Error naming the field where a value
/// does not fit or there is no room.
void storeField(const Source &source, size_t field, std::span<FieldBuffer> fields, kiln_dtype dtype, const void *data,
                std::span<const int64_t> shape);

} // namespace kiln
