// Programs with red zones: a kernel that writes where it may not is found, named, and stops the run.
#include "runtime/program/RedZones.h"
#include "runtime/program/Program.h"
#include "runtime/support/Error.h"
#include "tests/runtime/FakeBackend.h"
#include "tests/runtime/Temporary.h"

#include <gmock/gmock.h>

#include <cmath>
#include <vector>

namespace kiln {
namespace {

using testing::errorOf;
using testing::fakeImage;
using ::testing::HasSubstr;

/// The line model's manifest with red zones in the entry "grad": its arena has 64 bytes, of which a kernel writes 16.
std::string watchedManifest(const std::string &zones) {
  std::string text = testing::lineManifest("x.csv");
  std::string entry = "{\"name\": \"grad\", \"symbols\": [], \"extents\": [], \"arena\": 64,";
  size_t at = text.find(entry);
  EXPECT_NE(at, std::string::npos);
  return text.insert(at + entry.size(), " \"red_zones\": " + zones + ",");
}

std::string gradError(const std::string &manifest) {
  kiln_program_image image = fakeImage(manifest);
  return errorOf([&] {
    Program program(image, 1);
    Call &call = program.call("grad");
    for (int input : call.inputs())
      call.shape(input) = {4, input == 0 ? 2 : 1};
    for (int runs = 0; runs < 2; ++runs)
      call.run(0, 0);
    for (const TensorView &gradient : call.results(Role::Gradient))
      EXPECT_TRUE(std::isfinite(loadNumber(gradient.dtype, gradient.data, 0)));
  });
}

TEST(RedZones, ARunThatKeepsToItsMemoryPasses) {
  EXPECT_EQ(gradError(watchedManifest("[[16, 48, \"the losses\"]]")), "");
}

TEST(RedZones, AnOverrunInTheArenaIsNamed) {
  // The kernel writes four floats; the zone says that three are its own.
  std::string error = gradError(watchedManifest("[[12, 52, \"the losses\"]]"));
  EXPECT_THAT(error, HasSubstr("'grad': kernel loss (sub at line.kiln:3:9) wrote past its memory"));
  EXPECT_THAT(error, HasSubstr("byte 0 of the red zone behind the losses, at 12 of the arena"));
}

TEST(RedZones, AnOverrunOfAnArgumentIsNamed) {
  std::string text = watchedManifest("[[16, 48, \"the losses\"]]");
  std::string last = "[\"arg\",5,0],[\"arg\",6,0]]";
  size_t at = text.find(last);
  ASSERT_NE(at, std::string::npos);
  text.replace(at, last.size(), "[\"arg\",5,0],[\"arg\",6,4]]"); // behind the four bytes that it has
  std::string error = gradError(text);
  EXPECT_THAT(error, HasSubstr("kernel gradient wrote past its memory: 0 bytes behind the end of"));
  EXPECT_THAT(error, HasSubstr("'b', which has 4 bytes"));
}

TEST(RedZones, DamagedZonesAreRefused) {
  for (const char *zones :
       {"[[16]]", "[[16, 49, \"x\"]]", "[[65, 0, \"x\"]]", "[[0, -1, \"x\"]]", "[[0, 1, 2]]", "[1]", "3"})
    EXPECT_NE(gradError(watchedManifest(zones)), "") << zones;
}

TEST(RedZones, ThePatternIsNoNumberInAnyFloatFormat) {
  std::vector<uint8_t> bytes(64);
  fillRedZone(bytes.data(), bytes.size());
  for (kiln_dtype dtype : {KILN_F32, KILN_F64, KILN_F16, KILN_BF16})
    EXPECT_TRUE(std::isnan(loadNumber(dtype, bytes.data(), 1))) << dtype;
  EXPECT_EQ(firstWritten(bytes.data(), bytes.size()), bytes.size());
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::vector<uint8_t> one = bytes;
    ++one[i];
    EXPECT_EQ(firstWritten(one.data(), one.size()), i);
  }
  // From an odd offset on, the same bytes at the same places.
  fillRedZone(bytes.data() + 3, 9, 3);
  EXPECT_EQ(firstWritten(bytes.data(), bytes.size()), bytes.size());
}

} // namespace
} // namespace kiln
