// What the compile side hands to the run side: words and numbers in lines, then the OpenCL C of all kernels.
//
//   kiln-opencl 2
//   kernel NAME PLACES EXTENTS                          for each kernel of the program, in its order
//   launch FUNCTION DEVICES X Y SCRATCH offset... STEPS (kind value)...  for each of its launches
//   source BYTES
//
// A launch is for all devices, for processors or for the others; it has groups of X times Y work items, and the STEPS
// are the number of groups. A function's arguments: the status record, the kernel's number, the launch's; for each
// place (inputs, outputs, scratch) a buffer and an offset in bytes; the kernel's extents. The functions for processors
// are those that are there with KILN_PROCESSOR defined.
#pragma once

#include <kiln/kiln_text.h>
#include <kiln/sdk/forms/Number.h>

#include <cstdint>
#include <string>
#include <vector>

namespace kiln::opencl {

struct Launch {
  enum Devices { All, Processors, Others };
  std::string function;
  int devices = All;
  size_t local[2] = {1, 1};
  std::vector<int64_t> scratch; // offsets of the arrays that it uses
  sdk::Number groups;
};

struct Kernel {
  std::string name;
  uint32_t places = 0, extents = 0; // inputs and outputs
  std::vector<Launch> launches;
};

struct Artifact {
  std::vector<Kernel> kernels;
  std::string source;
};

std::string write(const Artifact &artifact);
/// False where the text is not one.
bool read(const std::string &text, Artifact &artifact);

const kiln_compile_api *compileApi();
const kiln_run_api *runApi();

} // namespace kiln::opencl
