// What the pictures' commands share: parts of arrays, names, and the file that is written.
#pragma once

#include "frontend/plot/Chart.h"
#include "frontend/plot/Numbers.h"
#include "frontend/plot/Pictures.h"

namespace kiln::plot {

/// The file, whole or not at all, as .svg or .png by its name.
void writeDrawing(const Drawing &drawing, const Options &options);
/// With the title, labels, size and file of the options; tells how many labels found no place.
void writeChart(Chart chart, const Options &options);

/// Rows FIRST:END, as Python's slices have them; all where `take` is empty.
std::vector<size_t> taken(const std::string &take, size_t count, const std::string &what);
Array rowsOf(const Array &array, const std::vector<size_t> &rows);

/// What to call each of several sources: the given names, else their tensors' or files' names, and folders where those
/// are the same.
std::vector<std::string> namesOf(const Options &options);

/// The words between white space, or, with @FILE, a line each.
std::vector<std::string> wordsOf(const std::string &text);

/// Numbers of classes, one an example; a row of scores stands for its largest.
std::vector<int64_t> classesOf(const Array &array);

} // namespace kiln::plot
