// Elementwise ops on one element, for the plain evaluation.
#pragma once

#include "tests/backends/cpu/TestKernel.h"

namespace kiln::test {

[[noreturn]] void unknown(const std::string &what);
bool isReal(kiln_dtype dtype);
int64_t wrap(int64_t v, kiln_dtype dtype);
double unaryReal(const std::string &op, double x);
double pick(double a, double b, bool larger);
double binaryReal(const std::string &op, double a, double b);
int64_t binaryWhole(const std::string &op, int64_t a, int64_t b, kiln_dtype dtype);
Number binary(const std::string &op, Number a, Number b, kiln_dtype dtype);
bool compare(const std::string &p, Number a, Number b, bool real);
Number convert(Number a, kiln_dtype from, kiln_dtype to);
Number neutral(const std::string &kind, kiln_dtype dtype);
Number combine(const std::string &kind, Number a, Number b, kiln_dtype dtype);
bool less(Number a, Number b, bool real);

} // namespace kiln::test
