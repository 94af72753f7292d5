// Names of kept kernels, and their bytes: numbers and names as text, then the object.

#include "backends/cpu/compile/Kept.h"
#include "backends/api/kiln_text.h"
#include "backends/cpu/compile/Compile.h"
#include "mlir/IR/Diagnostics.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/SHA256.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/TargetParser/Host.h"
#include <dlfcn.h>

namespace kiln::cpu {

/// The file that a function's code lies in, with its size and time: another build of it is another one.
static std::string fileOf(void *function) {
  Dl_info info;
  llvm::sys::fs::file_status status;
  if (!dladdr(function, &info) || !info.dli_fname || llvm::sys::fs::status(info.dli_fname, status))
    return "";
  std::string text;
  llvm::raw_string_ostream(text) << info.dli_fname << ' ' << status.getSize() << ' '
                                 << status.getLastModificationTime().time_since_epoch().count();
  return text;
}

/// Empty where one of them cannot be told: then nothing is kept.
static std::string compilerFiles() {
  auto emitError = static_cast<mlir::InFlightDiagnostic (*)(mlir::Location)>(&mlir::emitError);
  std::string text = "kiln cpu kernel 2, LLVM " LLVM_VERSION_STRING;
  for (void *function : {reinterpret_cast<void *>(&kiln_cpu_compile_api),
                         reinterpret_cast<void *>(&llvm::sys::getHostCPUName), reinterpret_cast<void *>(emitError)}) {
    std::string file = fileOf(function);
    if (file.empty())
      return "";
    text += "\n" + file;
  }
  return text;
}

static std::string folderOf(const kiln_host &host, const std::string &compiler) {
  bool given = KILN_HAS(&host, kiln_host, cache_folder.size) && host.cache_folder.size > 0 && !compiler.empty();
  return given ? toString(host.cache_folder) + "/kernels" : "";
}

Kept::Kept(const kiln_host &host, const Machine &machine) : Kept(host, machine, compilerFiles()) {}

Kept::Kept(const kiln_host &host, const Machine &machine, const std::string &compiler)
    : store(folderOf(host, compiler)) {
  llvm::raw_string_ostream(about) << compiler << "\n"
                                  << machine.triple << "\n"
                                  << machine.cpu << "\n"
                                  << machine.targetFeatures << "\n"
                                  << machine.features << "\n"
                                  << machine.vectorBytes << " " << machine.vectorRegisters << " " << machine.level2
                                  << " " << machine.fma << " " << machine.fast << " " << machine.forms << "\n";
}

std::string Kept::digest(llvm::StringRef content) const {
  llvm::SHA256 hash;
  hash.update(about);
  hash.update(content);
  return llvm::toHex(hash.final(), /*LowerCase=*/true);
}

bool Kept::find(const std::string &digest, Compiled &compiled) const {
  std::string bytes;
  if (!store.find(digest, bytes))
    return false;
  llvm::StringRef rest = bytes;
  auto line = [&] {
    auto [first, others] = rest.split('\n');
    rest = others;
    return first;
  };
  size_t names = 0;
  if (line().getAsInteger(10, compiled.phases) || line().getAsInteger(10, compiled.workerScratch) ||
      line().getAsInteger(10, names) || line().getAsInteger(10, compiled.prepacking.input) ||
      line().getAsInteger(10, compiled.prepacking.bytes) || line().getAsInteger(10, compiled.prepacking.replaces))
    return false;
  compiled.prepacking.layout = line().str();
  for (size_t i = 0; i < names; ++i)
    compiled.microKernels.insert(line().str());
  compiled.code.assign(rest.begin(), rest.end());
  return true;
}

void Kept::keep(const std::string &digest, const Compiled &compiled) const {
  std::string bytes;
  llvm::raw_string_ostream stream(bytes);
  const Prepacking &packing = compiled.prepacking;
  stream << compiled.phases << "\n" << compiled.workerScratch << "\n" << compiled.microKernels.size() << "\n";
  stream << packing.input << "\n" << packing.bytes << "\n" << packing.replaces << "\n" << packing.layout << "\n";
  for (const std::string &name : compiled.microKernels)
    stream << name << "\n";
  stream << llvm::StringRef(compiled.code.data(), compiled.code.size());
  store.keep(digest, bytes);
}

} // namespace kiln::cpu
