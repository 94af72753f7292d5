// Which kernel goes where: by what backends take, by their limits, and by what copies cost.
#include "runtime/backend/Placement.h"
#include "backends/host/Program.h"
#include "tests/backends/host/Fixture.h"

#include <gmock/gmock.h>

namespace kiln {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// A backend that takes every kernel without the ops that it refuses. `Number` makes several of them.
template <int Number> struct Choosy {
  static inline std::vector<std::string> refused;
  static inline kiln_capabilities says = {};
  static inline int64_t scratchInPlace = 0; ///< what a kernel needs where an output lies upon an input; -1: refused
  static inline double seconds = 0;         ///< that a launch takes, as it says
  static inline bool parts = false, wholeOnly = false; ///< takes the rest of what it refuses, each op a part
  static inline unsigned piecesSeen = 0;

  static int32_t capabilities(const kiln_host *, const kiln_target *, kiln_capabilities *out, kiln_error *) {
    uint32_t size = out->size;
    *out = says;
    out->size = size;
    return 0;
  }
  static int32_t claim(const kiln_host *host, const kiln_kernel *kernel, const kiln_target *, const kiln_answer *answer,
                       kiln_error *) {
    kiln_kernel_info info = {};
    info.size = sizeof info;
    host->reader->kernel(kernel, &info);
    piecesSeen += info.piece;
    kiln_terms terms = {};
    terms.size = sizeof terms;
    terms.seconds = seconds;
    terms.flags = wholeOnly ? KILN_TERMS_WHOLE : 0;
    for (uint32_t i = 0; i < info.op_count; ++i) {
      kiln_op op = {};
      op.size = sizeof op;
      host->reader->op(kernel, i, &op);
      if (std::string name(op.name.data, op.name.size); llvm::is_contained(refused, name)) {
        std::string reason = "no " + name + " here";
        for (uint32_t other = 0; parts && other < info.op_count; ++other)
          if (host->reader->op(kernel, other, &op);
              !llvm::is_contained(refused, std::string(op.name.data, op.name.size)))
            answer->take(answer->self, &other, 1, &terms);
        answer->refuse(answer->self, KILN_NONE, {reason.data(), reason.size()});
        return 0;
      }
    }
    for (uint32_t i = 0; i < info.output_count; ++i)
      if (info.alias && info.alias[i] >= 0)
        terms.scratch_bytes = scratchInPlace;
    if (terms.scratch_bytes < 0) {
      std::string reason = "not in place";
      answer->refuse(answer->self, KILN_NONE, {reason.data(), reason.size()});
      return 0;
    }
    answer->take(answer->self, nullptr, 0, &terms);
    return 0;
  }
  static int32_t compile(const kiln_host *, const kiln_program *, const kiln_target *, const kiln_sink *,
                         kiln_error *) {
    return 0;
  }
  static const kiln_backend *plugin(const kiln_offer *offer, kiln_error *) {
    static const kiln_compile_api api = {sizeof(kiln_compile_api), capabilities, claim, compile};
    static const std::string name = Number ? "other" : "home";
    static const kiln_backend backend = {sizeof(kiln_backend),
                                         offer->newest,
                                         {name.data(), name.size()},
                                         {name.data(), name.size()},
                                         &api,
                                         nullptr,
                                         nullptr,
                                         0,
                                         0,
                                         0};
    return &backend;
  }
  static const host::Backend &get() {
    std::string error;
    static const std::shared_ptr<host::Backend> backend = host::Backend::create(plugin, "built in", error);
    return *backend;
  }
};
using Home = Choosy<0>;
using Other = Choosy<1>;

class PlacementTest : public HostTest {
protected:
  PlacementTest() {
    target.size = sizeof target;
    Home::refused = {"exp"};
    Other::refused.clear();
    Home::says = Other::says = {};
    Home::scratchInPlace = 0;
    Home::seconds = 0;
    Home::parts = Home::wholeOnly = false;
    Home::piecesSeen = 0;
    Other::says.flags = KILN_BACKEND_HOST_MEMORY;
  }

  absl::StatusOr<std::unique_ptr<host::OwnedProgram>> build(const std::string &body) {
    module_ = parse("module @M {\n  func.func @f" + body + "\n}\n");
    host::Target targets[] = {{&Home::get(), target}, {&Other::get(), target}};
    return host::buildProgram(*module_, targets, {});
  }
  std::string placed(const std::string &body) {
    auto program = build(body);
    EXPECT_TRUE(program.ok()) << program.status();
    return program.ok() ? (*program)->explainPlacement() : "";
  }

  mlir::OwningOpRef<mlir::ModuleOp> module_;
};

/// exp, a middle that the home takes, exp.
std::string between(const std::string &middle, const std::string &type, const std::string &more = "") {
  return "(%x: tensor<" + type + "> {kiln.input = \"x\"}" + more + ") -> (tensor<" + type +
         "> {kiln.output = \"0\"}) {\n    %0 = kiln.exp %x : tensor<" + type + ">\n" + middle +
         "\n    %9 = kiln.exp %8 : tensor<" + type + ">\n    return %9 : tensor<" + type + ">\n  }";
}

TEST_F(PlacementTest, ALoneTinyKernelIsNotSentToADevice) {
  std::string text = placed(between("    %8 = kiln.tanh %0 : tensor<8xf32>", "8xf32"));
  // Beside its neighbours it is one kernel with them.
  EXPECT_THAT(text, HasSubstr("home: 0 kernels"));
  EXPECT_THAT(text, HasSubstr("other: 1 kernel\n"));
  EXPECT_THAT(text, Not(HasSubstr("parts"))) << "one backend has them all";
}

TEST_F(PlacementTest, WithoutCopiesItStaysWhereItWasAskedFor) {
  Home::says.flags = KILN_BACKEND_HOST_MEMORY;
  std::string text = placed(between("    %8 = kiln.tanh %0 : tensor<8xf32>", "8xf32"));
  EXPECT_THAT(text, HasSubstr("home: 1 kernel\n"));
  EXPECT_THAT(text, HasSubstr("f: 3 parts"));
}

TEST_F(PlacementTest, ALargeProductIsWorthItsCopies) {
  std::string product = "    %8 = kiln.dot_general %0, %0 batch [] x [] contract [1] x [1] : tensor<512x512xf32>, "
                        "tensor<512x512xf32> -> tensor<512x512xf32>";
  std::string text = placed(between(product, "512x512xf32"));
  EXPECT_THAT(text, HasSubstr("home: 1 kernel\n"));
  EXPECT_THAT(text, HasSubstr("f: 3 parts"));
  size_t at = product.find("512x512");
  for (; at != std::string::npos; at = product.find("512x512"))
    product.replace(at, 7, "4x4");
  EXPECT_THAT(placed(between(product, "4x4xf32")), HasSubstr("home: 0 kernels"));
}

const char *chain = "(%x: tensor<64xf32> {kiln.input = \"x\"}) -> (tensor<64xf32> {kiln.output = \"0\"}) {\n"
                    "    %0 = kiln.tanh %x : tensor<64xf32>\n    %1 = kiln.exp %0 : tensor<64xf32>\n"
                    "    %2 = kiln.neg %1 : tensor<64xf32>\n    return %2 : tensor<64xf32>\n  }";

TEST_F(PlacementTest, PiecesAreWeighedWhereTheirTimesAreStated) {
  Home::says.flags = KILN_BACKEND_HOST_MEMORY;
  std::string text = placed(chain); // at its word, and what that costs is told
  EXPECT_THAT(text, HasSubstr("home: 2 kernels\n"));
  EXPECT_THAT(text,
              HasSubstr("(2 of its pieces here take about 0.50 us longer than the whole on other; its terms state no "
                        "time)"));
  EXPECT_EQ(Home::piecesSeen, 3u) << "tanh, exp and neg, each asked once";
  Home::seconds = 1e-3;
  text = placed(chain);
  EXPECT_THAT(text, HasSubstr("home: 0 kernels\nother: 1 kernel\n"));
  EXPECT_THAT(text,
              HasSubstr("(not on home: no exp here; 2 of its pieces here take about 2.00 ms longer than the whole on "
                        "other)"));
}

TEST_F(PlacementTest, AFastProductIsWorthItsSurroundings) {
  Home::says.flags = KILN_BACKEND_HOST_MEMORY;
  std::string body = "(%x: tensor<512x512xf32> {kiln.input = \"x\"}) -> (tensor<512x512xf32> {kiln.output = \"0\"}) {\n"
                     "    %0 = kiln.dot_general %x, %x batch [] x [] contract [1] x [1] : tensor<512x512xf32>, "
                     "tensor<512x512xf32> -> tensor<512x512xf32>\n    %1 = kiln.exp %0 : tensor<512x512xf32>\n"
                     "    return %1 : tensor<512x512xf32>\n  }";
  Home::seconds = 1e-3; // the other takes 5.4 ms and more by the host's guess
  std::string text = placed(body);
  EXPECT_THAT(text, HasSubstr("home: 1 kernel\n"));
  EXPECT_THAT(text, HasSubstr("(1 of its pieces here take about 4.3"));
  EXPECT_THAT(text, HasSubstr(" ms less than the whole on other)"));
  Home::seconds = 8e-3;
  EXPECT_THAT(placed(body), HasSubstr("home: 0 kernels"));
}

TEST_F(PlacementTest, AnIslandOfStatedTimesIsWeighedInHostMemoryToo) {
  Home::says.flags = KILN_BACKEND_HOST_MEMORY;
  std::string body = between("    %8 = kiln.cumsum %0, 0 : tensor<64xf32>", "64xf32");
  EXPECT_THAT(placed(body), HasSubstr("home: 1 kernel\n"));
  Home::seconds = 1e-3;
  std::string text = placed(body);
  EXPECT_THAT(text, HasSubstr("home: 0 kernels"));
  EXPECT_THAT(text, HasSubstr("taken, but there and back takes about 1.00 ms, beside its neighbours 0.05 us"));
  Home::seconds = 1e-9;
  Home::says.link_seconds = 100; // of no account in host memory
  EXPECT_THAT(placed(body), HasSubstr("home: 0 kernels")) << "0.2 us there and back are more than the work";
}

TEST_F(PlacementTest, TheLinkIsTheBackendsOwn) {
  std::string product = "    %8 = kiln.dot_general %0, %0 batch [] x [] contract [1] x [1] : tensor<512x512xf32>, "
                        "tensor<512x512xf32> -> tensor<512x512xf32>";
  std::string body = between(product, "512x512xf32");
  EXPECT_THAT(placed(body), HasSubstr("home: 1 kernel\n"));
  Home::says.link_bytes_per_second = 1e6; // two matrices of 1 MiB: two seconds
  EXPECT_THAT(placed(body), HasSubstr("home: 0 kernels"));
  Home::says.link_bytes_per_second = -1;
  EXPECT_THAT(build(body).status().message(), HasSubstr("says that a copy takes"));
}

TEST_F(PlacementTest, APartMayBeWantedOnlyWithTheRest) {
  Home::says.flags = KILN_BACKEND_HOST_MEMORY;
  Home::parts = true;
  EXPECT_THAT(placed(chain), HasSubstr("home: 2 kernels\n"));
  Home::wholeOnly = true;
  std::string text = placed(chain);
  EXPECT_THAT(text, HasSubstr("home: 0 kernels\n"));
  EXPECT_THAT(text, HasSubstr("(not on home: it wants this only as a whole)"));
  Home::refused.clear();
  EXPECT_THAT(placed(chain), HasSubstr("home: 1 kernel\n"));
}

TEST_F(PlacementTest, WhatTheOtherRefusesStays) {
  Other::refused = {"tanh"};
  EXPECT_THAT(placed(between("    %8 = kiln.tanh %0 : tensor<8xf32>", "8xf32")), HasSubstr("home: 1 kernel\n"));
}

TEST_F(PlacementTest, RefusedOpsAreFusedAgain) {
  Home::refused = {"exp", "log", "sin"};
  auto program = build("(%x: tensor<64xf32> {kiln.input = \"x\"}) -> (tensor<64xf32> {kiln.output = \"0\"}) {\n"
                       "    %0 = kiln.tanh %x : tensor<64xf32>\n    %1 = kiln.exp %0 : tensor<64xf32>\n"
                       "    %2 = kiln.log %1 : tensor<64xf32>\n    %3 = kiln.sin %2 : tensor<64xf32>\n"
                       "    %4 = kiln.neg %3 : tensor<64xf32>\n    return %4 : tensor<64xf32>\n  }");
  ASSERT_TRUE(program.ok()) << program.status();
  std::string text = (*program)->explainPlacement();
  EXPECT_THAT(text, HasSubstr("home: 2 kernels"));
  EXPECT_THAT(text, HasSubstr("other: 1 kernel\n"));
  EXPECT_THAT(text, HasSubstr("exp_log_sin"));
  EXPECT_THAT(text, HasSubstr("(not on home: no sin here)"));
}

TEST_F(PlacementTest, ScratchIsThatOfTheKernelAsItWillRun) {
  Home::refused.clear();
  const char *body = "(%x: tensor<64xf32> {kiln.input = \"x\"}) -> (tensor<64xf32> {kiln.output = \"0\"}) {\n"
                     "    %0 = kiln.cumsum %x, 0 : tensor<64xf32>\n    %1 = kiln.tanh %0 : tensor<64xf32>\n"
                     "    %2 = kiln.cumsum %1, 0 : tensor<64xf32>\n    return %2 : tensor<64xf32>\n  }";
  auto arena = [&]() -> int64_t {
    auto program = build(body);
    EXPECT_TRUE(program.ok()) << program.status();
    return program.ok() ? (*program)->program().entries[0].arena_bytes : -1;
  };
  EXPECT_EQ(arena(), 256); // tanh in place
  Home::scratchInPlace = 4096;
  EXPECT_EQ(arena(), 256 + 4096);
  Home::scratchInPlace = -1;
  EXPECT_THAT(std::string(build(body).status().message()),
              HasSubstr("home takes this kernel, but not with a result in an operand's memory: not in place"));
}

TEST_F(PlacementTest, LimitsOfABackend) {
  Home::refused.clear();
  Home::says.max_binding_bytes = 100;
  std::string text = placed(between("    %8 = kiln.tanh %0 : tensor<64xf32>", "64xf32"));
  EXPECT_THAT(text, HasSubstr("home: 0 kernels"));
  EXPECT_THAT(text, HasSubstr("an operand of 256 bytes, where the backend's limit is 100"));
  Home::says = {};
  Home::says.max_allocation_bytes = 200;
  auto program = build(between("    %8 = kiln.tanh %0 : tensor<64xf32>", "64xf32"));
  EXPECT_EQ(program.status().message(), "'f' needs a buffer of 256 bytes (an argument), and the backend home allocates "
                                        "at most 200 in one piece: lower the batch or a --bound");
  Home::says.max_allocation_bytes = 256;
  EXPECT_TRUE(build(between("    %8 = kiln.tanh %0 : tensor<64xf32>", "64xf32")).ok());
}

TEST_F(PlacementTest, NobodyTakesIt) {
  Other::refused = {"exp"};
  auto program = build(between("    %8 = kiln.tanh %0 : tensor<8xf32>", "8xf32"));
  EXPECT_THAT(std::string(program.status().message()),
              HasSubstr("no backend takes 'exp' of this form (home: no exp here; other: no exp here)"));
}

} // namespace
} // namespace kiln
