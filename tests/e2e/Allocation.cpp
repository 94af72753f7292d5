// A training step in steady state allocates nothing: counted over real compiled models, at malloc itself, whoever calls
// it (the runtime, the backend's run side, the kernels) and on whatever thread. Each model is a library that this
// program loads, so its malloc is the one defined here.
#include "tests/e2e/Command.h"

#include "runtime/library/library.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static std::atomic<bool> counting{false};
static std::atomic<long> allocations{0};

static void count() {
  if (counting.load(std::memory_order_relaxed))
    ++allocations;
}

extern "C" {
void *__libc_malloc(size_t size) noexcept;
void *__libc_calloc(size_t count, size_t size) noexcept;
void *__libc_realloc(void *memory, size_t size) noexcept;
void *__libc_memalign(size_t alignment, size_t size) noexcept;

void *malloc(size_t size) noexcept {
  count();
  return __libc_malloc(size);
}
void *calloc(size_t number, size_t size) noexcept {
  count();
  return __libc_calloc(number, size);
}
void *realloc(void *memory, size_t size) noexcept {
  count();
  return __libc_realloc(memory, size);
}
void *memalign(size_t alignment, size_t size) noexcept {
  count();
  return __libc_memalign(alignment, size);
}
void *aligned_alloc(size_t alignment, size_t size) noexcept {
  count();
  return __libc_memalign(alignment, size);
}
int posix_memalign(void **memory, size_t alignment, size_t size) noexcept {
  count();
  *memory = __libc_memalign(alignment, size);
  return *memory ? 0 : ENOMEM;
}
void *mmap(void *address, size_t size, int protection, int flags, int file, off_t offset) noexcept {
  count();
  return reinterpret_cast<void *>(syscall(SYS_mmap, address, size, protection, flags, file, offset));
}
}

namespace kiln::test {
namespace {

struct Field {
  int32_t dtype;
  std::vector<int64_t> dims;
  int below; ///< values are whole numbers from 0 up to here
};

struct Case {
  const char *folder, *file, *prefix;
  std::vector<Field> batch;
};

std::ostream &operator<<(std::ostream &stream, const Case &model) { return stream << model.file; }

class Allocation : public testing::TestWithParam<Case> {};

TEST_P(Allocation, NoneInASteadyStep) {
  const Case &model = GetParam();
  std::string library = freshFolder(std::string("allocation_") + model.file) + "/lib" + model.file + ".so";
  Outcome built = run({kilnProgram(), "build", sourceFolder() + "/" + model.folder + "/" + model.file + ".kiln",
                       "--entry", "train_step", "--emit", "shared", "-o", library});
  ASSERT_EQ(built.code, 0) << built.err;
  void *handle = dlopen(library.c_str(), RTLD_NOW);
  ASSERT_NE(handle, nullptr) << dlerror();
  auto find = [&](const char *name) { return dlsym(handle, (std::string(model.prefix) + "_" + name).c_str()); };
  auto create = reinterpret_cast<decltype(&kiln_library_create)>(find("create"));
  auto trainStep = reinterpret_cast<decltype(&kiln_library_train_step)>(find("train_step"));
  auto destroy = reinterpret_cast<decltype(&kiln_library_destroy)>(find("destroy"));
  auto lastError = reinterpret_cast<decltype(&kiln_library_last_error)>(find("last_error"));
  ASSERT_TRUE(create && trainStep && destroy && lastError);

  std::vector<std::vector<uint8_t>> memory;
  std::vector<kiln_tensor> batch;
  for (const Field &field : model.batch) {
    kiln_tensor tensor = {field.dtype, static_cast<uint32_t>(field.dims.size()), {}, nullptr};
    int64_t elements = 1;
    for (size_t i = 0; i < field.dims.size(); ++i)
      elements *= tensor.dims[i] = field.dims[i];
    memory.emplace_back(static_cast<size_t>(elements * 4));
    tensor.data = memory.back().data();
    for (int64_t i = 0; i < elements; ++i)
      if (field.dtype == KILN_TENSOR_F32)
        static_cast<float *>(tensor.data)[i] = static_cast<float>(i * 37 % 101 % field.below);
      else
        static_cast<int32_t *>(tensor.data)[i] = static_cast<int32_t>(i * 37 % 101 % field.below);
    batch.push_back(tensor);
  }
  counting = true;
  kiln_library_model *made = create(2, 0, 1);
  long atStart = allocations.exchange(0);
  ASSERT_NE(made, nullptr) << lastError();
  EXPECT_GT(atStart, 0); // the counter counts
  double first = 0, loss = 0;
  ASSERT_TRUE(trainStep(made, batch.data(), batch.size(), &first)) << lastError();
  ASSERT_TRUE(trainStep(made, batch.data(), batch.size(), &loss)) << lastError();
  allocations = 0;
  bool done = true;
  for (int i = 0; i < 10; ++i)
    done &= trainStep(made, batch.data(), batch.size(), &loss) == 1;
  long inSteps = allocations;
  counting = false;
  EXPECT_TRUE(done) << lastError();
  EXPECT_EQ(inSteps, 0);
  EXPECT_LT(loss, first); // these were steps of training
  destroy(made);
  dlclose(handle);
}

INSTANTIATE_TEST_SUITE_P(
    Models, Allocation,
    testing::Values(
        Case{"models/mnist", "mnist", "mnist", {{KILN_TENSOR_F32, {32, 1, 28, 28}, 2}, {KILN_TENSOR_I32, {32}, 10}}},
        Case{"models/gpt", "gpt", "gpt", {{KILN_TENSOR_I32, {12, 64}, 65}, {KILN_TENSOR_I32, {12, 64}, 65}}},
        Case{
            "models/resnet", "resnet", "res_net", {{KILN_TENSOR_F32, {64, 1, 28, 28}, 2}, {KILN_TENSOR_I32, {64}, 10}}},
        Case{"tests/bench", "lstm", "char_lstm", {{KILN_TENSOR_I32, {32, 64}, 65}, {KILN_TENSOR_I32, {32, 64}, 65}}}),
    [](const testing::TestParamInfo<Case> &info) { return std::string(info.param.file); });

} // namespace
} // namespace kiln::test
