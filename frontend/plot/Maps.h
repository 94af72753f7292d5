// Pictures of cells: a matrix with names to its rows and columns, and grids of images.
#pragma once

#include "frontend/plot/Drawing.h"

namespace kiln::plot {

struct Matrix {
  std::string title, rowLabel, columnLabel;
  size_t rows = 0, columns = 0;
  std::vector<double> shades;     // 0 to 1 each, row by row
  std::vector<std::string> texts; // in the cells; or none
  std::vector<std::string> rowNames, columnNames;
  std::string low, high; // what the lightest and the darkest cell are
};

Drawing drawMatrix(const Matrix &matrix);

/// What is found in an image: by its middle, its width and height as shares of the image's.
struct Found {
  double x = 0, y = 0, width = 0, height = 0;
  int colour = 0;
  std::string text;
};

struct Gallery {
  std::string title;
  size_t columns = 8;
  double cell = 56; // an image's longer side
  std::vector<Bitmap> images;
  std::vector<std::string> names;        // below each; or none
  std::vector<std::string> rowNames;     // beside each row; or none
  std::vector<std::vector<Found>> found; // in each; or none
};

Drawing drawGallery(const Gallery &gallery);

} // namespace kiln::plot
