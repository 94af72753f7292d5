// images(path, batch, size=(28, 28), channels=3, …) without labels: a folder of pictures for each class.
#include "runtime/data/Coding.h"
#include "runtime/data/KeptPictures.h"
#include "runtime/data/Rows.h"
#include "runtime/files/File.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cstring>

namespace kiln {

namespace {

class FolderSource final : public Source {
public:
  FolderSource(const SourceContext &context);
  int64_t batches(Split split) const override { return rows_->batches(split); }
  void load(Split split, int64_t number, std::span<FieldBuffer> fields) override;

private:
  /// A file, and what it shows.
  struct Entry {
    std::string path, name;
    int32_t label = 0;
  };
  int64_t add(const std::string &path, const SourceContext &context);
  void number(const SourceContext &context);

  KeptPictures pictures_;
  bool labelled_ = true; // not where the pictures alone are read
  std::vector<Entry> entries_;
  std::optional<Rows> rows_;
  std::vector<float> block_;
  std::vector<int32_t> labelBlock_;
};

/// A folder's pictures: those in its folders, whose names are the classes; where no labels are asked for, its own too.
int64_t FolderSource::add(const std::string &path, const SourceContext &context) {
  std::string found = findData(path, "the pictures of data '" + spec_.name + "'", context.folders);
  if (!isFolder(found))
    fail("data '%s': '%s' is a file; without labels images are read from a folder, which has a folder of pictures for "
         "each class",
         spec_.name.c_str(), found.c_str());
  size_t before = entries_.size();
  std::vector<std::string> names = foldersIn(found);
  if (names.empty() && labelled_)
    fail("data '%s': '%s' has no folder in it; a folder of pictures for each class is expected", spec_.name.c_str(),
         found.c_str());
  if (!labelled_)
    for (std::string &file : picturesIn(found))
      entries_.push_back({std::move(file), "", 0});
  for (const std::string &name : names)
    for (std::string &file : picturesIn(found + "/" + name))
      entries_.push_back({std::move(file), name, 0});
  for (size_t i = before; i < entries_.size(); ++i)
    protectFile(entries_[i].path, "a picture of data '" + spec_.name + "'");
  if (entries_.size() == before)
    fail("data '%s': there are no pictures (PNG, JPEG, BMP, GIF) in '%s'", spec_.name.c_str(), found.c_str());
  return static_cast<int64_t>(entries_.size() - before);
}

void FolderSource::number(const SourceContext &context) {
  std::set<std::string> found;
  for (const Entry &entry : entries_)
    found.insert(entry.name);
  ClassOrder classes = orderClasses(context, "label", found, "folders of pictures");
  for (Entry &entry : entries_)
    if (entry.label = classes.find(entry.name); entry.label < 0)
      fail("'%s': the folder '%s' %s", entry.path.c_str(), entry.name.c_str(), classes.lacks(entry.name).c_str());
  keepCoding(classesPrefix, "label", textOf(classes.names));
}

FolderSource::FolderSource(const SourceContext &context)
    : Source(*context.spec), pictures_(PictureForm::parse(spec_.options, "data '" + spec_.name + "'")) {
  labelled_ = !spec_.options.find("unlabelled");
  Rows::Options rows(spec_, context.seed);
  int64_t main = addFiles(context, rows, [&](const std::string &path) { return add(path, context); });
  if (labelled_)
    number(context);
  rows_.emplace(main, rows);
}

void FolderSource::load(Split split, int64_t number, std::span<FieldBuffer> fields) {
  std::span<const int32_t> rows = rows_->batch(split, number);
  int64_t count = static_cast<int64_t>(rows.size());
  const PictureForm &form = pictures_.form();
  size_t elements = static_cast<size_t>(form.elements());
  for (size_t f = 0; f < fields.size(); ++f) {
    if (!fields[f].data)
      continue;
    const std::string &name = spec_.fields[f].name;
    if (name == "label" && labelled_) {
      labelBlock_.resize(rows.size());
      for (size_t i = 0; i < rows.size(); ++i)
        labelBlock_[i] = entries_[static_cast<size_t>(rows[i])].label;
      storeField(*this, f, fields, KILN_I32, labelBlock_.data(), std::span(&count, 1));
    } else if (name == "image") {
      block_.resize(rows.size() * elements);
      for (size_t i = 0; i < rows.size(); ++i) {
        size_t row = static_cast<size_t>(rows[i]);
        pictures_.numbers(row, entries_[row].path, block_.data() + i * elements);
      }
      int64_t shape[] = {count, form.channels, form.height, form.width};
      storeField(*this, f, fields, KILN_F32, block_.data(), shape);
    } else {
      fail("data '%s': images have the fields image and label, not '%s'", spec_.name.c_str(), name.c_str());
    }
  }
}

} // namespace

static std::unique_ptr<Source> openFolder(const SourceContext &context) {
  return std::make_unique<FolderSource>(context);
}

const Reader kiln_reader_folder{"folder", openFolder};

} // namespace kiln
