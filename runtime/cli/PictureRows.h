// `run --input NAME=FILE.png`, or a folder of them: pictures become the rows of an input.
#pragma once

#include "runtime/cli/Commands.h"
#include "runtime/cli/InputRows.h"
#include "runtime/files/Picture.h"

namespace kiln {

class PictureRows final : public InputRows {
public:
  /// Of the input that --input gives a picture or a folder, whose pictures are its rows, by their names. Throws Error
  /// for what the model does not say how to read.
  PictureRows(const Options &options, const Manifest &manifest, const Call &call);

  /// Whether an --input names a picture or a folder.
  static bool asked(const Options &options, const Call &call);
  const char *what() const override { return "pictures"; }
  size_t count() const override { return files_.size(); }
  bool fills(int argument) const override { return argument == input_; }
  void fill(Call &call, size_t begin, size_t size) const override;

private:
  int input_ = -1;
  PictureForm form_;
  std::vector<std::string> files_;
};

} // namespace kiln
