// A step in steady state allocates nothing: every call of operator new and malloc's C++ door is counted.
#include "runtime/data/Feeder.h"
#include "tests/runtime/FakeBackend.h"
#include "tests/runtime/Temporary.h"

#include <gmock/gmock.h>

#include <atomic>
#include <cstdlib>
#include <new>

static std::atomic<long> allocations{0};

void *operator new(std::size_t size) {
  ++allocations;
  if (void *memory = std::malloc(size ? size : 1))
    return memory;
  throw std::bad_alloc();
}
void *operator new[](std::size_t size) { return operator new(size); }
void operator delete(void *memory) noexcept { std::free(memory); }
void operator delete[](void *memory) noexcept { std::free(memory); }
void operator delete(void *memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void *memory, std::size_t) noexcept { std::free(memory); }

namespace kiln {
namespace {

TEST(Allocation, NoneInASteadyStep) {
  testing::TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 40; ++i)
    text += std::to_string(i % 7) + "," + std::to_string(i % 5) + "," + std::to_string(i % 3) + "\n";
  std::string manifest = testing::lineManifest(folder.write("a folder with a rather long name.csv", text));
  kiln_program_image image = testing::fakeImage(manifest);
  Program program(image, 2);
  program.initialise(1);
  Sources sources(program.manifest(), {}, 1);
  Call &train = program.call("train_step"), &eval = program.call("eval");
  Feeder trainFeed(train, sources), evalFeed(eval, sources);
  auto steps = [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      trainFeed.load(Split::Train, i);
      train.run(1, i);
    }
    for (int64_t i = 0; i < evalFeed.batches(Split::Validation); ++i) { // full batches and a smaller one
      evalFeed.load(Split::Validation, i);
      eval.run(1, i);
    }
  };
  steps(0, 20);
  long before = allocations;
  EXPECT_GT(before, 0); // the counter counts
  steps(20, 200);       // over many epochs
  EXPECT_EQ(allocations - before, 0);
}

/// Sequences of tokens: within an epoch (at its beginning the order is drawn).
TEST(Allocation, NoneInABatchOfSequences) {
  testing::TemporaryFolder folder;
  std::string rows, tags, text;
  for (int i = 0; i < 200; ++i) {
    rows += "a word " + std::string(static_cast<size_t>(i % 9), 'x') + " more\t" + std::to_string(i % 3) + "\n";
    tags += "word O\nplace B-LOC\n" + std::string(i % 3 ? "" : "\n");
    text += "a line of words " + std::to_string(i) + "\n";
  }
  const std::pair<const char *, std::string> readers[] = {{"table", folder.write("t.tsv", rows)},
                                                          {"conll", folder.write("t.conll", tags)},
                                                          {"masked", folder.write("t.txt", text)}};
  for (const auto &[reader, path] : readers) {
    SourceSpec spec;
    spec.name = "data";
    spec.reader = reader;
    spec.path = path;
    spec.options = Json::parse(R"({"text":0,"label":1,"batch":4,"max_length":16,"validation":0.2})", "options");
    for (const char *name : {"ids", "types", "lengths", "next"})
      spec.fields.push_back({name, {KILN_I32, {}}});
    SourceContext context;
    context.spec = &spec;
    std::unique_ptr<Source> source = openSource(context);
    std::vector<int32_t> memory(64);
    std::vector<int64_t> shape(4);
    std::vector<FieldBuffer> buffers(4, {KILN_I32, memory.data(), 64, &shape});
    source->load(Split::Train, 0, buffers);
    long before = allocations;
    for (int64_t i = 1; i < source->batches(Split::Train); ++i)
      source->load(Split::Train, i, buffers);
    for (int64_t i = 0; i < source->batches(Split::Validation); ++i)
      source->load(Split::Validation, i, buffers);
    EXPECT_EQ(allocations - before, 0) << reader;
  }
}

} // namespace
} // namespace kiln
