// Brings batches into an entry's inputs.
#pragma once

#include "runtime/data/Source.h"
#include "runtime/program/TrainStep.h"

#include <set>

namespace kiln {

/// The recipe's sources, each opened on first use.
class Sources {
public:
  /// `overrides`: data name to path; "NAME.validation" and "NAME.test" are those parts' paths. `given`: what the
  /// weights bring to read them by; `trains`: for a training. Throws Error for a name that the recipe does not have.
  Sources(const Manifest &manifest, std::map<std::string, std::string> overrides, uint32_t seed, Codings given = {},
          bool trains = false);

  /// How many classes the model has room for in an input ("data.label"); 0: that is not known. Before it is opened.
  void haveRoom(const std::string &input, int64_t classes);
  /// From now on what is opened writes no notes: another one does.
  void beQuiet() { quiet_ = true; }
  Source &open(const std::string &name);
  /// From now on a source that is opened has all of its file as its validation.
  void measureAll();
  /// Opens a csv or images with all of its file as its validation, in its order. The file need hold no more than these
  /// fields.
  Source &openRows(const std::string &name, const std::set<std::string> &fields);
  /// Adds those of the sources opened so far, in place of what is there.
  void addCodings(Codings &all) const;

private:
  bool replaceSplit(const std::string &name, const std::string &paths);
  std::string recipeOf(const std::string &source) const;

  std::vector<SourceSpec> specs_;
  std::vector<std::string> labels_;
  std::map<std::string, std::string> overrides_;
  uint32_t seed_;
  Codings given_;
  bool trains_, quiet_ = false;
  std::map<std::string, size_t> rooms_;
  std::map<std::string, std::string> replaced_; // by --data: a part ("data.validation") of a source
  std::string recipe_;                          // where the model has several
  std::set<std::string> shared_;                // data that others of them have, too
  std::string folders_;
  std::map<std::string, std::unique_ptr<Source>> open_;
};

class Feeder {
public:
  /// Binds every input of the entry to the field that its name says ("data.ids"). Throws Error where there is none.
  Feeder(Call &call, Sources &sources);
  /// The same of a training step, in whole batches.
  Feeder(TrainStep &step, Sources &sources);

  /// Batches in one pass: the least of the sources'.
  int64_t batches(Split split) const;
  /// Has the data parts for validation and test? (A file of batches has none: all of it is for whatever is asked.)
  bool hasSplits() const;
  /// Loads batch `number` into the inputs.
  void load(Split split, int64_t number);

private:
  struct Fed {
    Source *source;
    std::vector<FieldBuffer> fields;
  };
  void bind(const std::string &entry, const std::vector<BatchInput> &inputs, Sources &sources);
  void bind(const std::string &entry, const BatchInput &input, Sources &sources);
  std::vector<Fed> fed_;
};

} // namespace kiln
