// The target machine, read from what the user asked for.

#include "backends/cpu/compile/Target.h"
#include "backends/api/kiln_text.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/Triple.h"
#include <mutex>

using namespace llvm;

namespace kiln::cpu {

/// Features that a started program can look for on its processor (run/Processor.cpp knows where each one stands).
static constexpr const char *checkedFeatures[] = {
    "sse3",       "ssse3",      "sse4.1",      "sse4.2",     "popcnt",       "avx",
    "avx2",       "fma",        "f16c",        "bmi",        "bmi2",         "lzcnt",
    "movbe",      "avx512f",    "avx512dq",    "avx512cd",   "avx512bw",     "avx512vl",
    "avx512ifma", "avx512vbmi", "avx512vbmi2", "avx512vnni", "avx512bitalg", "avx512vpopcntdq",
    "avx512bf16", "avx512fp16", "avxvnni",     "gfni",       "vaes",         "vpclmulqdq",
    "amx-tile",   "amx-int8",   "amx-bf16"};

/// Loop strength reduction takes three tenths of a build, and gives kernels nothing: their loops are written with one
/// counter each, and their addresses fit the processors' own forms (docs/performance.md). LLVM has no switch for it but
/// its command line's.
static void leaveLoopsAsTheyAre() {
  auto &options = cl::getRegisteredOptions();
  if (auto found = options.find("disable-lsr"); found != options.end())
    found->second->addOccurrence(0, "disable-lsr", "true");
}

static void initialize() {
  static std::once_flag once;
  std::call_once(once, [] {
    InitializeNativeTarget();
    InitializeNativeTargetAsmPrinter();
    InitializeAllTargetInfos();
    InitializeAllTargets();
    InitializeAllTargetMCs();
    InitializeAllAsmPrinters();
    leaveLoopsAsTheyAre();
  });
}

std::unique_ptr<TargetMachine> createTargetMachine(const Machine &machine, std::string &error) {
  initialize();
  const llvm::Target *target = TargetRegistry::lookupTarget(machine.triple, error);
  if (!target)
    return nullptr;
  TargetOptions options;
  options.FunctionSections = true;
  options.DataSections = true;
  return std::unique_ptr<TargetMachine>(target->createTargetMachine(machine.triple, machine.cpu, machine.targetFeatures,
                                                                    options, Reloc::PIC_, std::nullopt,
                                                                    CodeGenOptLevel::Default));
}

/// "x86-64-v3:l2=512K": a processor, and what is to be believed of it instead of what its name says. Behind that tests
/// say ":forms=7": which forms are drawn.
static bool readCpu(StringRef text, Machine &machine, std::string &error) {
  auto [cpu, settings] = text.split(':');
  machine.cpu = cpu.str();
  if (settings.empty() && !text.ends_with(":"))
    return true;
  auto [size, forms] = settings.split(':');
  if (settings.contains(':') && (!forms.consume_front("forms=") || forms.getAsInteger(10, machine.forms))) {
    error = "'" + text.str() + "': expected forms=NUMBER behind the size, found '" + forms.str() + "'";
    return false;
  }
  int64_t unit = 1, number = 0;
  if (!size.consume_front("l2=")) {
    error = "'" + text.str() + "': expected l2=SIZE after the ':' (as in " + cpu.str() + ":l2=512K), found '" +
            settings.str() + "'";
    return false;
  }
  if (size.consume_back("K"))
    unit = 1 << 10;
  else if (size.consume_back("M"))
    unit = 1 << 20;
  // From the smallest there ever was to more than any has: a product of sizes stays far below 2^63.
  if (size.getAsInteger(10, number) || number < 1 || number > (1 << 30) / unit || number * unit < (16 << 10)) {
    error = "'" + text.str() + "': expected a size of the second-level cache from 16K to 1024M, found '" +
            settings.split(':').first.substr(3).str() + "'";
    return false;
  }
  machine.level2 = number * unit;
  return true;
}

bool readTarget(const kiln_target &target, Machine &machine, std::string &error) {
  initialize();
  machine = {};
  machine.triple = toString(target.triple);
  if (!readCpu(view(target.cpu), machine, error))
    return false;
  machine.fast = view(target.math) == "fast";
  bool native = machine.cpu.empty() || machine.cpu == "native";
  if (machine.triple.empty())
    machine.triple = sys::getProcessTriple();
  Triple triple(machine.triple);
  if (native) {
    if (triple.getArch() != Triple(sys::getProcessTriple()).getArch()) {
      error = "--target-cpu native asks for this machine's processor, but the target is " + machine.triple +
              ": name a processor";
      return false;
    }
    // The name alone promises what a virtual machine may hide: every feature is given with its sign.
    machine.cpu = sys::getHostCPUName();
    std::vector<std::string> features;
    for (const auto &feature : sys::getHostCPUFeatures())
      features.push_back((feature.second ? "+" : "-") + feature.first().str());
    llvm::sort(features);
    machine.targetFeatures = llvm::join(features, ",");
  }
  // Asked without a processor first: given an unknown one, LLVM prints a warning and goes on.
  Machine anyone = machine;
  anyone.cpu.clear();
  std::unique_ptr<TargetMachine> generator = createTargetMachine(anyone, error);
  if (!generator) {
    error = "LLVM has no target for the triple '" + machine.triple + "': " + error;
    return false;
  }
  if (!generator->getMCSubtargetInfo()->isCPUStringValid(machine.cpu)) {
    error = "LLVM knows no processor '" + machine.cpu + "' for " + machine.triple;
    return false;
  }
  generator = createTargetMachine(machine, error);
  const MCSubtargetInfo &subtarget = *generator->getMCSubtargetInfo();
  machine.vectorBytes = 16;
  machine.vectorRegisters = 32;
  machine.fma = true;
  machine.features.clear();
  if (!triple.isX86())
    return true;
  std::vector<std::string> present;
  for (const char *feature : checkedFeatures)
    if (subtarget.checkFeatures((Twine("+") + feature).str()))
      present.push_back(feature);
  machine.features = llvm::join(present, ",");
  machine.fma = machine.has("fma");
  bool wide = machine.has("avx512f") && machine.has("avx512bw") && machine.has("avx512dq") && machine.has("avx512vl");
  machine.vectorBytes = wide ? 64 : machine.has("avx2") ? 32 : 16;
  machine.vectorRegisters = wide ? 32 : 16;
  return true;
}

} // namespace kiln::cpu
