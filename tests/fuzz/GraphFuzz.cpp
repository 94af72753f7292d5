// Random models through the whole compiler, beside the reference interpreter: each in a process of its own, as it is
// and with red zones around its buffers.
//   graph_fuzz [--cpu NAME] SEED [COUNT]  these seeds
//   graph_fuzz [--cpu NAME] --new COUNT   as many from the clock on, each printed where it fails
//   graph_fuzz --case FILE...             graphs that were kept
//   graph_fuzz --forms SEED [COUNT]       how many of their kernels take which form
//   graph_fuzz --print SEED [COUNT]       what the seeds are
// --backend NAME: on vulkan or reference instead, where these take all of a graph.
// --cpu both (the default) takes this machine's processor and x86-64-v3 in turn. A graph that fails is made smaller and
// kept in a file whose path is printed.
#include "tests/fuzz/Case.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace kiln::test {
namespace {

/// The processor that a seed is compiled for.
std::string cpuOf(const std::string &wanted, uint64_t seed) {
  std::string cpu = wanted != "both" ? wanted : seed / 32 % 2 ? "x86-64-v3" : "native";
  if (!drawsForms(seed) || cpu.find(":forms=") != std::string::npos)
    return cpu;
  // A small cache, so that small products are cut, too.
  if (cpu.find(':') == std::string::npos)
    cpu += seed / 3 % 2 ? ":l2=16K" : ":l2=256K";
  return cpu + ":forms=" + std::to_string(seed / 6 % 5 ? seed : 0);
}

/// Where failing graphs go: a folder that outlives the run.
std::string keptFile(uint64_t seed) {
  const char *folder = std::getenv("KILN_FUZZ_KEEP");
  if (!folder)
    folder = std::getenv("TMPDIR");
  return std::string(folder ? folder : "/tmp") + "/kiln-graph-" + std::to_string(seed) + ".mlir";
}

void report(uint64_t seed, const FuzzCase &failing, const std::string &why) {
  std::printf("seed %llu, %s: %s\n", static_cast<unsigned long long>(seed), failing.cpu.c_str(), why.c_str());
  std::printf("again: graph_fuzz --cpu %s %llu 1\n", failing.cpu.c_str(), static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  FuzzCase small = std::getenv("KILN_FUZZ_NO_SHRINK") ? failing : shrink(failing, why);
  std::string now = judgeApart(small, true), file = keptFile(seed);
  std::ofstream(file) << small.text(now.empty() ? why : now);
  std::printf("kept: %s\n%s\n%s\n", file.c_str(), small.module.c_str(), now.c_str());
  std::fflush(stdout);
}

struct Tally {
  uint64_t passed = 0, failed = 0;
  int end() const {
    std::printf("%llu passed, %llu failed\n", static_cast<unsigned long long>(passed),
                static_cast<unsigned long long>(failed));
    return failed ? 1 : 0;
  }
};

int runSeeds(const std::string &cpu, const std::string &backend, uint64_t first, uint64_t count) {
  Tally tally;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    FuzzCase one = caseOf(seed, cpuOf(cpu, seed));
    one.backend = backend;
    std::string why = judgeApart(one, false);
    ++(why.empty() ? tally.passed : tally.failed);
    if (!why.empty())
      report(seed, one, why);
  }
  return tally.end();
}

/// Of "kernel NAME (SHAPE as FORM):" lines the forms, and how often each of their parts is taken.
int countForms(const std::string &cpu, uint64_t first, uint64_t count) {
  std::map<std::string, uint64_t> counts;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    std::istringstream lines(fusionOf(caseOf(seed, cpuOf(cpu, seed))));
    for (std::string line; std::getline(lines, line);) {
      size_t begin = line.find(" as "), end = line.rfind("):");
      if (begin == std::string::npos || end == std::string::npos)
        continue;
      std::istringstream parts(line.substr(begin + 4, end - begin - 4));
      for (std::string part; std::getline(parts, part, ',');)
        ++counts[part.substr(part.find_first_not_of(' '))];
    }
  }
  for (const auto &[form, number] : counts)
    std::printf("%8llu %s\n", static_cast<unsigned long long>(number), form.c_str());
  return 0;
}

int runCases(const std::vector<std::string> &files, const std::string &cpu) {
  Tally tally;
  for (const std::string &file : files) {
    std::ifstream stream(file);
    std::stringstream text;
    text << stream.rdbuf();
    FuzzCase one = FuzzCase::parse(text.str());
    std::vector<std::string> cpus = {"native", "x86-64-v3"};
    if (one.cpu.find(':') != std::string::npos) // and as it failed
      cpus.push_back(one.cpu);
    if (cpu != "both")
      cpus = {cpu};
    for (const std::string &each : cpus) {
      one.cpu = each;
      std::string why = stream ? judgeApart(one, true) : "the file cannot be read";
      ++(why.empty() ? tally.passed : tally.failed);
      if (!why.empty())
        std::printf("%s, %s: %s\n", file.c_str(), each.c_str(), why.c_str());
    }
  }
  return tally.end();
}

} // namespace
} // namespace kiln::test

int main(int argc, char **argv) {
  std::string cpu = "both";
  std::vector<std::string> words(argv + 1, argv + argc);
  if (words.size() >= 2 && words[0] == "--cpu") {
    cpu = words[1];
    words.erase(words.begin(), words.begin() + 2);
  }
  std::string backend;
  if (words.size() >= 2 && words[0] == "--backend") {
    backend = words[1];
    words.erase(words.begin(), words.begin() + 2);
  }
  if (!words.empty() && words[0] == "--case")
    return kiln::test::runCases({words.begin() + 1, words.end()}, cpu);
  if (words.size() == 2 && words[0] == "--new") {
    auto now = std::chrono::system_clock::now().time_since_epoch();
    auto first = static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(now).count()) * 1000;
    std::printf("seeds from %llu on\n", static_cast<unsigned long long>(first));
    std::fflush(stdout);
    return kiln::test::runSeeds(cpu, backend, first, std::strtoull(words[1].c_str(), nullptr, 10));
  }
  if (words.size() >= 2 && words[0] == "--forms")
    return kiln::test::countForms(cpu, std::strtoull(words[1].c_str(), nullptr, 10),
                                  words.size() > 2 ? std::strtoull(words[2].c_str(), nullptr, 10) : 1);
  if (words.size() >= 2 && words[0] == "--print") {
    uint64_t first = std::strtoull(words[1].c_str(), nullptr, 10);
    for (uint64_t seed = first; seed < first + (words.size() > 2 ? std::strtoull(words[2].c_str(), nullptr, 10) : 1);
         ++seed)
      std::puts(kiln::test::caseOf(seed, kiln::test::cpuOf(cpu, seed)).text("seed " + std::to_string(seed)).c_str());
    return 0;
  }
  if (words.empty() || words[0].starts_with("-")) {
    std::fprintf(
        stderr,
        "graph_fuzz [--cpu NAME] [--backend NAME] SEED [COUNT] | --new COUNT | --forms SEED [COUNT] | --case FILE... | "
        "--print SEED [COUNT]\n");
    return 2;
  }
  return kiln::test::runSeeds(cpu, backend, std::strtoull(words[0].c_str(), nullptr, 10),
                              words.size() > 1 ? std::strtoull(words[1].c_str(), nullptr, 10) : 1);
}
