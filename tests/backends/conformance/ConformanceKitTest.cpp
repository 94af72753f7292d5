// The test of the tests: the kit passes the reference, and catches a plugin that is wrong in one planted way, each
// time.
#include "backends/conformance/Conformance.h"
#include "backends/conformance/Kernel.h"
#include "backends/conformance/Watch.h"
#include "backends/reference/Blob.h"
#include "backends/reference/compile/Compile.h"
#include "backends/reference/run/Run.h"
#include "backends/sdk/Graph.h"
#include "tests/backends/conformance/Faults.h"

#include <cstdlib>
#include <gtest/gtest.h>
#include <set>

namespace kiln {
namespace {

conformance::Linker noObjects() {
  return [](const std::vector<host::Blob> &, const std::string &, std::string &error) {
    error = "these backends give bytes";
    return std::shared_ptr<const void>();
  };
}

/// Faults show without the extents that vectors' widths make edges of: half of the kit's time, once for each fault.
conformance::Report proven(const std::shared_ptr<host::Backend> &backend, bool edges = false) {
  conformance::Report report;
  conformance::Options options;
  options.edges = edges;
  conformance::run(backend, noObjects(), options, report);
  return report;
}

TEST(ConformanceKit, PassesTheReference) {
  std::string error;
  auto backend = host::Backend::create(kiln_reference_backend, "built in", error);
  ASSERT_TRUE(backend) << error;
  conformance::Report report = proven(backend, true);
  EXPECT_FALSE(report.failed()) << report.table();
  EXPECT_GT(report.count(conformance::Outcome::Pass), 2000);
  EXPECT_EQ(report.count(conformance::Outcome::Refused), 0);
}

/// Why a loop over 5 steps is refused whose region has such inputs and carries so many values; its operands are a carry
/// f32[4] and a sequence f32[5, 4].
std::string refusalOf(kiln_dtype step, conformance::Dims slice, size_t carries, bool stacks = true) {
  using conformance::fixed;
  conformance::Kernel kernel("any");
  uint32_t carry = kernel.input(KILN_F32, {fixed(4)}), xs = kernel.input(KILN_F32, {fixed(5), fixed(4)});
  std::shared_ptr<conformance::Kernel> region = kernel.region();
  region->input(step, {});
  uint32_t c = region->input(KILN_F32, {fixed(4)});
  region->input(KILN_F32, std::move(slice));
  region->output(c);
  if (stacks)
    region->output(c);
  for (uint32_t value : kernel.loop({carry, xs}, region, fixed(5), carries, 1, false))
    kernel.output(value);
  sdk::Graph graph;
  std::string error;
  sdk::Graph::read(*tableReader(), &kernel.table("k"), graph, error);
  return error;
}

TEST(Regions, HaveToFitTheirLoop) {
  using conformance::fixed;
  EXPECT_EQ(refusalOf(KILN_I32, {fixed(4)}, 1), "");
  EXPECT_EQ(refusalOf(KILN_I32, {fixed(4)}, 1, false), "");
  std::string where = "op 'scan' (conformance:1:1) ", types = where + "has a region whose types do not fit its own";
  EXPECT_EQ(refusalOf(KILN_F32, {fixed(4)}, 1), types);           // the step's number
  EXPECT_EQ(refusalOf(KILN_I32, {fixed(5)}, 1), types);           // a slice
  EXPECT_EQ(refusalOf(KILN_I32, {fixed(5), fixed(4)}, 1), types); // the sequence in place of its slice
  std::string counts = where + "has a region with 3 inputs and 2 outputs, which do not fit it";
  EXPECT_EQ(refusalOf(KILN_I32, {fixed(4)}, 2), counts); // as many carries as operands, and a sequence
}

class Faulty : public ::testing::TestWithParam<const char *> {};

TEST_P(Faulty, IsCaught) {
  setenv("KILN_FAULT", GetParam(), 1);
  std::string error;
  auto backend = host::Backend::load(KILN_FAULTY_PLUGIN, error);
  ASSERT_TRUE(backend) << error;
  conformance::Report report = proven(backend);
  EXPECT_TRUE(report.failed()) << GetParam() << " was not caught";
  for (const conformance::Row &row : report.rows())
    if (row.outcome == conformance::Outcome::Failure)
      EXPECT_FALSE(row.reason.empty()) << row.id();
}

TEST(FaultyPlugin, WithoutAFaultPasses) {
  setenv("KILN_FAULT", "", 1);
  std::string error;
  auto backend = host::Backend::load(KILN_FAULTY_PLUGIN, error);
  ASSERT_TRUE(backend) << error;
  conformance::Report report = proven(backend);
  EXPECT_FALSE(report.failed()) << report.table();
}

#define KILN_FAULT_NAME(name) #name,
const char *const faults[] = {KILN_FAULTS(KILN_FAULT_NAME)};
INSTANTIATE_TEST_SUITE_P(Planted, Faulty, ::testing::ValuesIn(faults),
                         [](const auto &info) { return std::string(info.param); });

/// The faulty plugin in processes of its own.
conformance::Report watched(const char *fault, const std::string &only) {
  setenv("KILN_FAULT", fault, 1);
  conformance::Report report;
  std::string error;
  auto work = [&](conformance::Report &own, std::string &why) {
    auto backend = host::Backend::load(KILN_FAULTY_PLUGIN, why);
    conformance::Options options;
    options.only = only;
    options.edges = false;
    if (backend)
      conformance::run(backend, noObjects(), options, own);
    return backend != nullptr;
  };
  EXPECT_EQ(conformance::watch(work, 2, 100, report, error), conformance::Watched::All) << error;
  return report;
}

/// All failures are of rows that the pattern names, with that word in the reason; how many.
int64_t failuresOf(const conformance::Report &report, const std::string &pattern, const std::string &word) {
  for (const conformance::Row &row : report.rows())
    if (row.outcome == conformance::Outcome::Failure) {
      EXPECT_TRUE(conformance::matches(pattern, row.id())) << row.id() << ": " << row.reason;
      EXPECT_NE(row.reason.find(word), std::string::npos) << row.reason;
    }
  return report.count(conformance::Outcome::Failure);
}

TEST(Watch, ASoundBackendGivesTheSameRowsAsInOneProcess) {
  setenv("KILN_FAULT", "", 1);
  conformance::Report apart = watched("", "");
  std::string error;
  conformance::Report together = proven(host::Backend::load(KILN_FAULTY_PLUGIN, error));
  ASSERT_EQ(apart.rows().size(), together.rows().size());
  std::set<std::string> ids;
  for (size_t i = 0; i < apart.rows().size(); ++i) {
    EXPECT_EQ(apart.rows()[i].id(), together.rows()[i].id());
    EXPECT_EQ(apart.rows()[i].worst, together.rows()[i].worst);
    EXPECT_TRUE(ids.insert(apart.rows()[i].id()).second) << apart.rows()[i].id() << " is there twice";
  }
}

TEST(Watch, ACrashIsAFailureOfWhatWasTriedAndTheRestIsTried) {
  conformance::Report compile = watched("CrashesAtCompile", "");
  EXPECT_GT(failuresOf(compile, "ops/erf/*", "Segmentation fault"), 3);
  EXPECT_GT(compile.count(conformance::Outcome::Pass), 1000);
  conformance::Report execute = watched("CrashesAtExecute", "");
  EXPECT_GT(failuresOf(execute, "ops/dot_general/*dynamic", "Segmentation fault"), 3);
  EXPECT_GT(execute.count(conformance::Outcome::Pass), 1000);
  conformance::Report claim = watched("CrashesAtClaim", "ops/er*");
  EXPECT_GT(failuresOf(claim, "ops/erf/*", "Segmentation fault"), 3);
}

TEST(Watch, AnEndOfTheProcessOrASilenceIsOneToo) {
  EXPECT_GT(failuresOf(watched("EndsProcess", "ops/e*"), "ops/erf/*", "exit code 7"), 3);
  EXPECT_EQ(failuresOf(watched("Hangs", "ops/erf/*/rank 0*"), "ops/erf/*", "nothing came of it for 2 s"), 1);
  EXPECT_EQ(failuresOf(watched("CrashesAtEnd", "ops/exp/*"), "interface/the process's end", "Segmentation fault"), 1);
  conformance::Report open = watched("CrashesAtOpen", "");
  EXPECT_GT(failuresOf(open, "*", "Segmentation fault"), 2);
}

/// A page that cannot be read lies behind the operands of each row's second launch.
TEST(Watch, ReadingBehindAnOperandIsOne) {
  EXPECT_GT(failuresOf(watched("ReadsBehindOperand", "ops/exp/f32/*"), "ops/exp/*", "Segmentation fault"), 2);
}

TEST(Watch, ThreeSilencesAreEnough) {
  conformance::Report report = watched("Hangs", "ops/erf/*");
  int64_t silent = 0;
  for (const conformance::Row &row : report.rows())
    silent += row.reason == "nothing came of it for 2 s";
  EXPECT_EQ(silent, 2) << "the first silence is of several that were compiled together";
  EXPECT_EQ(report.rows().back().id(), "interface/the rest");
  EXPECT_EQ(report.rows().back().reason.rfind("not tried: 3 processes gave no sign of life, the last in ops/erf/", 0),
            0u)
      << report.rows().back().reason;
}

/// Takes matrices of i32 alone, to subtract them.
bool takesFew(conformance::Case &made) {
  return made.op == "sub" && made.dtype == KILN_I32 && made.variant.find("rank 2") != std::string::npos;
}

TEST(Catalogue, PairsAreDrawnAmongWhatIsTaken) {
  for (uint32_t seed : {1u, 2u}) {
    std::vector<conformance::Case> cases = conformance::allCases(false, seed, true, takesFew);
    std::set<std::string> forms;
    for (conformance::Case &made : cases)
      if (takesFew(made))
        forms.insert(made.variant.substr(0, made.variant.find(", extents")));
    EXPECT_EQ(forms, (std::set<std::string>{"rank 2, constant", "rank 2, dynamic"})) << seed;
    // What is refused is told as often as if all were.
    auto none = [](conformance::Case &) { return false; };
    EXPECT_LT(cases.size(), conformance::allCases(false, seed, true, none).size() + 30);
  }
}

TEST(Watch, WhatCannotBeLoadedIsNoReport) {
  conformance::Report report;
  std::string error;
  auto work = [](conformance::Report &, std::string &why) {
    why = "there is no such plugin";
    return false;
  };
  EXPECT_EQ(conformance::watch(work, 2, 100, report, error), conformance::Watched::Refused);
  EXPECT_EQ(error, "there is no such plugin");
  EXPECT_TRUE(report.rows().empty());
}

TEST(Report, ExpectedFailuresAreNoFailuresButExpectedPassesAre) {
  conformance::Report report;
  report.expected = {"ops/exp/*", "ops/log/f32/*"};
  conformance::Row row{"ops", "exp", "f32", "rank 1", conformance::Outcome::Failure, "far off", 9, 1, 1};
  report.add(row);
  EXPECT_FALSE(report.failed());
  EXPECT_EQ(report.count(conformance::Outcome::ExpectedFailure), 1);
  row.name = "log";
  row.outcome = conformance::Outcome::Pass;
  report.add(row);
  EXPECT_TRUE(report.failed());
  conformance::Report wanting;
  conformance::Row exp{"ops", "exp", "f32", "rank 1", conformance::Outcome::Pass, {}, 0, 0, 0}, log = exp;
  log.name = "log";
  EXPECT_TRUE(wanting.wants(exp));
  wanting.only = "models/*|ops/exp/f32/*";
  EXPECT_TRUE(wanting.wants(exp));
  EXPECT_FALSE(wanting.wants(log));
  EXPECT_TRUE(conformance::matches("a*c*", "abcd"));
  EXPECT_FALSE(conformance::matches("a*c", "abcd"));
}

/// A blob of one kernel that adds.
std::string addBlob() {
  sdk::Graph graph;
  graph.name = "k0";
  graph.values.assign(3, {KILN_F32, {{4, -1}}});
  graph.inputs = {0, 1};
  graph.outputs = {2};
  graph.alias = {-1};
  sdk::Op op;
  op.name = "add";
  op.operands = {0, 1};
  op.results = {2};
  graph.ops = {op};
  return reference::encode({graph});
}

TEST(ReferenceBlob, EveryTruncationAndEveryChangedByteIsRefused) {
  std::string blob = addBlob(), error;
  std::vector<sdk::Graph> graphs;
  ASSERT_TRUE(reference::decode(blob.data(), blob.size(), graphs, error)) << error;
  EXPECT_EQ(graphs.at(0).ops.at(0).code, sdk::OpCode::Add);
  for (size_t size = 0; size < blob.size(); ++size)
    EXPECT_FALSE(reference::decode(blob.data(), size, graphs, error)) << size;
  for (size_t at = 0; at < blob.size(); ++at) {
    std::string changed = blob;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    EXPECT_FALSE(reference::decode(changed.data(), changed.size(), graphs, error)) << at;
  }
}

/// With the checksum made right again: lengths and numbers that lie are found out by what they say.
TEST(ReferenceBlob, LiesWithAnHonestChecksumDoNoHarm) {
  std::string blob = addBlob(), error;
  std::vector<sdk::Graph> graphs;
  for (size_t at = 24; at < blob.size(); ++at)
    for (unsigned char value : {0xffu, 0x7fu, 0x01u}) {
      std::string changed = blob;
      changed[at] = static_cast<char>(value);
      uint64_t hash = 0xcbf29ce484222325;
      for (size_t i = 24; i < changed.size(); ++i)
        hash = (hash ^ static_cast<uint8_t>(changed[i])) * 0x100000001b3;
      std::memcpy(changed.data() + 16, &hash, 8);
      if (reference::decode(changed.data(), changed.size(), graphs, error))
        continue; // another kernel that is well formed
      EXPECT_FALSE(error.empty()) << at;
    }
}

} // namespace
} // namespace kiln
