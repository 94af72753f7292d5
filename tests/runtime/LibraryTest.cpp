// The functions that a library exports, over the fake backend (so under the sanitizers too).
#include "runtime/library/library.h"
#include "runtime/program/Image.h"
#include "tests/runtime/FakeBackend.h"
#include "tests/runtime/Temporary.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <thread>

static const std::string manifest = kiln::testing::lineManifest("line.csv");
const kiln_program_image kiln_image = kiln::testing::fakeImage(manifest);

namespace kiln {
namespace {

using ::testing::HasSubstr;

struct Ended {
  void operator()(kiln_library_model *model) const { kiln_library_destroy(model); }
};
using Model = std::unique_ptr<kiln_library_model, Ended>;

kiln_tensor tensor(int32_t dtype, std::vector<int64_t> dims, void *data) {
  kiln_tensor made = {dtype, static_cast<uint32_t>(dims.size()), {}, data};
  std::copy(dims.begin(), dims.end(), made.dims);
  return made;
}

struct Batch {
  float x[4][2] = {{1, 2}, {-1, 0.5f}, {0, 1}, {2, -1}};
  float y[4] = {3, 0, 1, 1};
  kiln_tensor inputs[2] = {tensor(KILN_TENSOR_F32, {4, 2}, x), tensor(KILN_TENSOR_F32, {4, 1}, y)};
};

TEST(Library, TrainsAndGoesOnFromItsFile) {
  testing::TemporaryFolder folder;
  Batch batch;
  Model model(kiln_library_create(1, 0, 5));
  ASSERT_TRUE(model);
  std::vector<double> losses;
  std::string path = folder.path() + "/half.safetensors";
  for (int i = 0; i < 20; ++i) {
    if (i == 7) {
      ASSERT_TRUE(kiln_library_save(model.get(), path.c_str())) << kiln_library_last_error();
    }
    double loss = 0;
    ASSERT_TRUE(kiln_library_train_step(model.get(), batch.inputs, 2, &loss)) << kiln_library_last_error();
    losses.push_back(loss);
  }
  EXPECT_LT(losses.back(), 0.5 * losses.front());
  model.reset(kiln_library_create(0, 0, 1)); // the fake knows one program at a time
  ASSERT_TRUE(kiln_library_load(model.get(), path.c_str())) << kiln_library_last_error();
  EXPECT_EQ(kiln_library_step(model.get()), 7);
  for (int i = 7; i < 20; ++i) {
    double loss = 0;
    ASSERT_TRUE(kiln_library_train_step(model.get(), batch.inputs, 2, &loss));
    EXPECT_EQ(loss, losses[static_cast<size_t>(i)]);
  }
}

TEST(Library, OutputsOfAnyKindOfResult) {
  Batch batch;
  Model model(kiln_library_create(1, 0, 5));
  float loss = -1, w[2], b = 0;
  kiln_tensor outputs[3] = {tensor(KILN_TENSOR_F32, {}, &loss), tensor(KILN_TENSOR_F32, {1, 2}, w),
                            tensor(KILN_TENSOR_F32, {1}, &b)};
  ASSERT_TRUE(kiln_library_run(model.get(), "grad", batch.inputs, 2, outputs, 3)) << kiln_library_last_error();
  EXPECT_GT(loss, 0);
  EXPECT_NE(w[0], 0);
  float other = 0;
  outputs[0].data = &other;
  ASSERT_TRUE(kiln_library_run(model.get(), "grad", batch.inputs, 2, outputs, 1)); // fewer than there are
  EXPECT_EQ(other, loss);
  kiln_tensor asked = {};
  ASSERT_TRUE(kiln_library_run(model.get(), "forward", batch.inputs, 1, &asked, 1));
  EXPECT_EQ(asked.dtype, KILN_TENSOR_F32);
  EXPECT_EQ(asked.rank, 2u);
  EXPECT_EQ(asked.dims[0], 4);
  EXPECT_EQ(asked.dims[1], 1);
}

TEST(Library, AFailureLeavesEverythingAsItWas) {
  testing::TemporaryFolder folder;
  Batch batch;
  Model model(kiln_library_create(1, 0, 5));
  auto losses = [&] {
    float loss = 0;
    kiln_tensor output = tensor(KILN_TENSOR_F32, {}, &loss);
    EXPECT_TRUE(kiln_library_run(model.get(), "eval", batch.inputs, 2, &output, 1)) << kiln_library_last_error();
    return loss;
  };
  float before = losses();
  std::string path = folder.path() + "/weights.safetensors";
  // Fits, but for one name that nobody knows.
  std::string header = R"({"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"c":{"dtype":"F32","shape":[1],)"
                       R"("data_offsets":[4,8]},"w":{"dtype":"F32","shape":[1,2],"data_offsets":[8,16]}})";
  uint64_t size = header.size();
  std::string bytes(reinterpret_cast<const char *>(&size), 8);
  path = folder.write("extra.safetensors", bytes + header + std::string(16, '\x3f'));
  EXPECT_FALSE(kiln_library_load(model.get(), path.c_str()));
  EXPECT_THAT(kiln_library_last_error(), HasSubstr("does not fit the model:\n  'c' (f32[1]) is not in the model"));
  EXPECT_EQ(losses(), before);
  kiln_tensor wrong[2] = {batch.inputs[0], batch.inputs[0]};
  EXPECT_FALSE(kiln_library_train_step(model.get(), wrong, 2, nullptr));
  EXPECT_EQ(kiln_library_step(model.get()), 0);
  EXPECT_EQ(losses(), before);
}

TEST(Library, NothingIsWrittenThatIsNotFinite) {
  testing::TemporaryFolder folder;
  Batch batch;
  batch.y[2] = std::numeric_limits<float>::infinity();
  Model model(kiln_library_create(1, 0, 5));
  double loss = 0;
  ASSERT_TRUE(kiln_library_train_step(model.get(), batch.inputs, 2, &loss));
  EXPECT_FALSE(std::isfinite(loss));
  std::string path = folder.path() + "/w.safetensors";
  EXPECT_FALSE(kiln_library_save(model.get(), path.c_str()));
  EXPECT_THAT(kiln_library_last_error(),
              HasSubstr("the parameter 'w' (element 0) is not finite; '" + path + "' was not written. "));
  EXPECT_EQ(folder.files(), 0u);
}

TEST(Library, EachThreadHasAnErrorOfItsOwn) {
  EXPECT_FALSE(kiln_library_load(nullptr, "x"));
  std::string other;
  std::thread([&] {
    other = kiln_library_last_error();
    kiln_library_reset(nullptr);
    other += kiln_library_last_error();
  }).join();
  EXPECT_EQ(other, "reset: the model is a null pointer");
  EXPECT_STREQ(kiln_library_last_error(), "load: the model is a null pointer");
}

} // namespace
} // namespace kiln
