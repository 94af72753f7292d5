// Pictures by what the model says of them.
#include "runtime/cli/PictureRows.h"

#include "runtime/files/File.h"
#include "runtime/support/Error.h"

namespace kiln {

static bool isPictures(const std::string &path) { return isFolder(path) || isPicture(path); }

bool PictureRows::asked(const Options &options, const Call &call) {
  for (const std::string &text : options.list("input"))
    if (isPictures(splitInput(text, call).second))
      return true;
  return false;
}

/// The model's `picture`, else what the recipe's folder of pictures is read by.
static PictureForm formOf(const Manifest &manifest) {
  if (manifest.picture.isObject())
    return PictureForm::parse(manifest.picture, "the model's picture");
  for (const SourceSpec &source : manifest.data)
    if (source.reader == "folder")
      return PictureForm::parse(source.options, "data '" + source.name + "'");
  fail("this program's first recipe reads no folder of pictures, and its model says no picture; set one (picture = "
       "dict(size=224)) and build it again");
}

PictureRows::PictureRows(const Options &options, const Manifest &manifest, const Call &call) : form_(formOf(manifest)) {
  for (const std::string &text : options.list("input")) {
    auto [name, path] = splitInput(text, call);
    if (!isPictures(path))
      continue;
    if (input_ >= 0)
      fail("--input %s: one input is given pictures, no two", text.c_str());
    input_ = inputNamed(call, name);
    files_ = isFolder(path) ? picturesIn(path) : std::vector<std::string>{path};
    if (!files_.empty())
      continue;
    std::vector<std::string> within = foldersIn(path);
    std::string help = within.empty() ? "" : "; give one of its folders, '" + path + "/" + within[0] + "' for one";
    fail("--input %s: there are no pictures (PNG, JPEG, BMP, GIF) in that folder%s", text.c_str(), help.c_str());
  }
  const ArgumentSpec &argument = call.entry().arguments[static_cast<size_t>(input_)];
  const std::vector<Dim> &shape = argument.type.shape;
  std::vector<Dim> made = {Dim(form_.channels), Dim(form_.height), Dim(form_.width)};
  if (shape.size() != 4 ||
      !std::equal(made.begin(), made.end(), shape.begin() + 1,
                  [](const Dim &one, const Dim &wants) { return !wants.isConstant() || one == wants; }))
    fail("'%s' is %s; pictures are read as [B, %lld, %lld, %lld]", argument.name.c_str(), argument.type.str().c_str(),
         static_cast<long long>(form_.channels), static_cast<long long>(form_.height),
         static_cast<long long>(form_.width));
  countBy(argument, call.entry());
}

void PictureRows::fill(Call &call, size_t begin, size_t size) const {
  size_t elements = static_cast<size_t>(form_.elements());
  std::vector<float> block(size * elements);
  for (size_t i = 0; i < size; ++i)
    form_.numbers(form_.read(files_[begin + i]), block.data() + i * elements);
  int64_t shape[] = {static_cast<int64_t>(size), form_.channels, form_.height, form_.width};
  call.setInput(input_, KILN_F32, shape, block.data(), "the picture");
}

extern "C" InputRows *kiln_picture_rows(const Options &options, const Manifest &manifest, const Call &call) {
  return PictureRows::asked(options, call) ? new PictureRows(options, manifest, call) : nullptr;
}

} // namespace kiln
