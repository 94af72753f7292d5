// The numbers of a picture, out of the files that programs write and read.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace kiln::plot {

struct Array {
  std::string what; // for messages
  std::vector<int64_t> shape;
  std::vector<double> values;

  int64_t rank() const { return static_cast<int64_t>(shape.size()); }
  int64_t rows() const { return shape.empty() ? 1 : shape[0]; }
  /// Elements of one row.
  int64_t width() const { return rows() ? static_cast<int64_t>(values.size()) / rows() : 0; }
};

/// FILE, or FILE:NAME: a tensor of a .safetensors file, a .npy file, a column (by its name, or its number from 0) of a
/// .csv or .tsv file or of JSON lines, or what an IDX file holds (.gz too). Every number is finite. Throws Error: what
/// the file has instead, with a hint; the place of a NaN; nothing in it, or far too much.
Array readArray(const std::string &spec);

/// The lines of a text, the cells of a column FILE:NAME of a table, or the words of the vocabulary that a .safetensors
/// file was saved with. Throws Error.
std::vector<std::string> readNames(const std::string &spec);

/// The members of JSON lines that are numbers, by their names: the numbers of the lines (from 0), and the values.
struct Series {
  std::vector<double> at, values;
};
std::map<std::string, Series> readMetrics(const std::string &path);

/// Throws Error unless it has this rank.
void requireRank(const Array &array, int64_t rank, const char *expected);

} // namespace kiln::plot
