// What the compile side hands to the run side: words and numbers in lines, then the OpenCL C of all kernels.
//
//   kiln-opencl 1
//   kernel NAME PLACES EXTENTS SCRATCH offset...          for each kernel of the program, in its order
//   phase FUNCTION LOCAL FACTORS (DIVISOR DIMS (value slot)...)...
//   source BYTES
//
// A phase is one launch over LOCAL-sized groups; the number of its items is the product of its factors, a factor being
// the product of its extents divided by DIVISOR, rounded up. A function's arguments: the status record, the kernel's
// number, the launch's, the number of items; for each place (inputs, outputs, scratch) a buffer and an offset in bytes;
// the kernel's extents.
#pragma once

#include <kiln/kiln_backend.h>

#include <cstdint>
#include <string>
#include <vector>

namespace kiln::opencl {

struct Factor {
  int64_t divisor = 1;
  std::vector<kiln_extent> dims;
};

struct Launch {
  std::string function;
  size_t local = 64;
  std::vector<Factor> factors;
};

struct Kernel {
  std::string name;
  uint32_t places = 0, extents = 0; // inputs and outputs
  std::vector<int64_t> scratch;     // offsets of what is kept between launches
  std::vector<Launch> launches;
};

struct Artifact {
  std::vector<Kernel> kernels;
  std::string source;
};

std::string write(const Artifact &artifact);
/// False where the text is not one.
bool read(const std::string &text, Artifact &artifact);

/// Fills the error; returns the code.
int32_t fail(kiln_error *error, kiln_code code, const std::string &message);

const kiln_compile_api *compileApi();
const kiln_run_api *runApi();

} // namespace kiln::opencl
