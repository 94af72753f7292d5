// The toolchain's start files found, lld called, the result put in its place.

#include "frontend/driver/Link.h"

#include "runtime/files/File.h"
#include "runtime/program/Image.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lld/Common/Driver.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/Triple.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <mutex>
#include <optional>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

LLD_HAS_DRIVER(elf)

namespace kiln {

namespace {

/// An anonymous file that lld can open by name; nothing touches the disk.
class MemoryFile {
public:
  explicit MemoryFile(const ObjectBytes &bytes) : fd_(memfd_create("kiln-object", MFD_CLOEXEC)) {
    size_t written = 0;
    while (fd_ >= 0 && written < bytes.size) {
      ssize_t n = write(fd_, bytes.data + written, bytes.size - written);
      if (n <= 0)
        break;
      written += static_cast<size_t>(n);
    }
    complete_ = fd_ >= 0 && written == bytes.size;
  }
  MemoryFile(MemoryFile &&other) noexcept : fd_(other.fd_), complete_(other.complete_) { other.fd_ = -1; }
  MemoryFile(const MemoryFile &) = delete;
  MemoryFile &operator=(const MemoryFile &) = delete;
  MemoryFile &operator=(MemoryFile &&) = delete;
  ~MemoryFile() {
    if (fd_ >= 0)
      close(fd_);
  }
  bool complete() const { return complete_; }
  int descriptor() const { return fd_; }
  std::string path() const { return absl::StrCat("/proc/self/fd/", fd_); }

private:
  int fd_;
  bool complete_ = false;
};

constexpr LinkTarget linkTargets[] = {{"x86_64-linux-gnu", "elf_x86_64", "/lib64/ld-linux-x86-64.so.2"},
                                      {"aarch64-linux-gnu", "aarch64linux", "/lib/ld-linux-aarch64.so.1"}};

struct Toolchain {
  std::string root; ///< the folder that these lie in; empty: they are this machine's
  std::string gcc;  ///< folder of crtbeginS.o and libstdc++
  std::string libc; ///< folder of crt1.o
};

/// The newest GCC folder that has what a C++ program links with.
absl::Status findToolchain(const LinkJob &job, Toolchain &toolchain) {
  std::error_code error;
  const char *sysroot = std::getenv("KILN_SYSROOT");
  toolchain.root = sysroot ? sysroot : job.sysroot;
  const char *triple = job.target->triple;
  std::string root = absl::StrCat(toolchain.root, "/usr/lib/gcc/", triple);
  int best = -1;
  for (llvm::sys::fs::directory_iterator it(root, error), end; !error && it != end; it.increment(error)) {
    llvm::StringRef name = llvm::sys::path::filename(it->path());
    int version = 0;
    if (name.getAsInteger(10, version) || version <= best || !llvm::sys::fs::exists(it->path() + "/libstdc++.so") ||
        !llvm::sys::fs::exists(it->path() + "/crtbeginS.o"))
      continue;
    best = version;
    toolchain.gcc = it->path();
  }
  if (best < 0)
    return absl::NotFoundError(absl::StrCat("no C++ runtime to link with: looked for libstdc++.so and crtbeginS.o in ",
                                            root, "/*; install the package libstdc++-12-dev (or g++)"));
  toolchain.libc = absl::StrCat(toolchain.root, "/usr/lib/", triple);
  if (!llvm::sys::fs::exists(toolchain.libc + "/crt1.o"))
    return absl::NotFoundError(absl::StrCat("no C library to link with: looked for ", toolchain.libc,
                                            "/crt1.o; install the package libc6-dev"));
  return absl::OkStatus();
}

std::vector<std::string> linkerArguments(const LinkJob &job, const Toolchain &tools,
                                         const std::vector<MemoryFile> &files, const std::string &versionScript) {
  std::vector<std::string> args = {"ld.lld",
                                   "--eh-frame-hdr",
                                   "--gc-sections",
                                   "--icf=all",
                                   "-O2", // strings that end another one lie in it
                                   "--strip-all",
                                   "--build-id=none",
                                   "-z",
                                   "relro",
                                   "-z",
                                   "now",
                                   "-m",
                                   job.target->emulation,
                                   "--hash-style=gnu",
                                   "--as-needed",
                                   "-o",
                                   "-"};
  if (const char *map = linkMap())
    args.push_back(absl::StrCat("-Map=", map));
  if (!tools.root.empty()) // for the absolute paths in libc.so, which is a text
    args.push_back("--sysroot=" + tools.root);
  if (job.shared) {
    args.insert(args.end(), {"-shared", absl::StrCat("-soname=", llvm::sys::path::filename(job.output).str()),
                             absl::StrCat(tools.libc, "/crti.o"), absl::StrCat(tools.gcc, "/crtbeginS.o")});
    if (!job.exports.empty())
      args.push_back("--version-script=" + versionScript);
    for (const auto &[name, symbol] : job.exports)
      args.push_back(absl::StrCat("--defsym=", name, "=", symbol));
  } else {
    args.insert(args.end(), {"-pie", "-dynamic-linker", job.target->loader, absl::StrCat(tools.libc, "/Scrt1.o"),
                             absl::StrCat(tools.libc, "/crti.o"), absl::StrCat(tools.gcc, "/crtbeginS.o")});
  }
  for (const MemoryFile &file : files)
    args.push_back(file.path());
  args.push_back("--start-group");
  args.insert(args.end(), job.archives.begin(), job.archives.end());
  args.push_back("--end-group");
  args.insert(args.end(), {"-L" + tools.gcc, "-L" + tools.libc,
                           absl::StrCat("-L", tools.root, "/lib/",
                                        job.target->triple), // a folder of its own where /usr is not merged
                           "-lstdc++", "-lm", "-l:libz.a", "-lgcc_s", "-lgcc", "-lpthread", "-lc",
                           absl::StrCat(tools.gcc, "/crtendS.o"), absl::StrCat(tools.libc, "/crtn.o")});
  return args;
}

/// What a library shows of itself.
std::string versionScript(const LinkJob &job) {
  std::string text = "{ global: ";
  for (const auto &[name, symbol] : job.exports)
    absl::StrAppend(&text, name, "; ");
  return text + "local: *; };\n";
}

/// While it lives, what LLVM writes to standard output goes into a file. (The linker maps a file that it is given a
/// name of, and a full disk then is a bus error; standard output it writes.)
class StandardOutputInto {
public:
  /// `failed` is set where not all could be written.
  StandardOutputInto(int file, bool &failed) : failed_(failed) {
    one().lock();
    std::fflush(stdout);
    llvm::outs().flush();
    kept_ = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    dup2(file, STDOUT_FILENO);
  }
  ~StandardOutputInto() {
    llvm::outs().flush();
    failed_ = llvm::outs().has_error();
    llvm::outs().clear_error();
    if (kept_ >= 0) {
      dup2(kept_, STDOUT_FILENO);
      close(kept_);
    } else {
      close(STDOUT_FILENO);
    }
    one().unlock();
  }
  StandardOutputInto(const StandardOutputInto &) = delete;

private:
  static std::mutex &one() {
    static std::mutex mutex;
    return mutex;
  }
  bool &failed_;
  int kept_;
};

/// Adds `size` bytes of one file to another; 0, or errno.
int append(int file, int from, off_t size) {
  for (off_t done = 0; done < size;)
    if (ssize_t sent = sendfile(file, from, &done, static_cast<size_t>(size - done)); sent <= 0)
      return sent < 0 && errno ? errno : EIO;
  return 0;
}

/// The weights, and what OwnWeights (runtime/program/Weights.h) finds them by.
int appendWeights(int file, const LinkJob &job) {
  constexpr off_t alignment = 64;
  off_t end = lseek(file, 0, SEEK_END);
  if (end < 0 || lseek(file, (end + alignment - 1) / alignment * alignment, SEEK_SET) < 0)
    return errno;
  for (const TensorView &each : job.weights) {
    MadeBytes piece(each);
    for (size_t done = 0; done < each.bytes;)
      if (ssize_t n = write(file, piece.view.data + done, each.bytes - done); n > 0)
        done += static_cast<size_t>(n);
      else if (n == 0 || errno != EINTR)
        return n == 0 ? ENOSPC : errno;
  }
  std::string trailer = KILN_WEIGHTS_MARK;
  trailer.append(reinterpret_cast<const char *>(&job.weightBytes), sizeof job.weightBytes);
  ssize_t written = write(file, trailer.data(), trailer.size());
  return written == static_cast<ssize_t>(trailer.size()) ? 0 : written < 0 ? errno : ENOSPC;
}

/// Beside the output first; the finished file takes its place in one step.
absl::Status writeProgram(int linked, const LinkJob &job) {
  const std::string &output = job.output;
  std::string temporary;
  int file = openTemporary(output, "tmp", temporary, 0777);
  off_t size = lseek(linked, 0, SEEK_END);
  int error = file < 0 ? errno : size <= 0 ? EIO : append(file, linked, size);
  if (!error && !job.weights.empty())
    error = appendWeights(file, job);
  if (file >= 0 && close(file) != 0 && !error)
    error = errno;
  if (!error && rename(temporary.c_str(), output.c_str()) != 0)
    error = errno;
  if (!error)
    return absl::OkStatus();
  unlink(temporary.c_str());
  return absl::UnavailableError(absl::StrCat("cannot write ", output, ": ", std::strerror(error)));
}

} // namespace

const LinkTarget *linkTargetOf(const std::string &triple) {
  llvm::Triple asked(llvm::Triple::normalize(triple));
  for (const LinkTarget &target : linkTargets)
    if (llvm::Triple known(target.triple);
        asked.getArch() == known.getArch() && asked.isOSLinux() && !asked.isMusl() && !asked.isAndroid())
      return &target;
  return nullptr;
}

const LinkTarget *linkTargetHere() { return linkTargetOf(llvm::sys::getDefaultTargetTriple()); }

const char *linkMap() {
  const char *map = std::getenv("KILN_LINK_MAP");
  return map && *map ? map : nullptr;
}

absl::Status link(const LinkJob &job) {
  Toolchain tools;
  if (absl::Status status = findToolchain(job, tools); !status.ok())
    return status;
  for (const std::string &archive : job.archives)
    if (!llvm::sys::fs::exists(archive))
      return absl::NotFoundError(absl::StrCat("the runtime archive ", archive, " is missing; ",
                                              job.sysroot.empty()
                                                  ? "it belongs beside kiln: build or install Kiln again"
                                                  : "`./dev cross`, in Kiln's source tree, makes what programs for "
                                                    "64-bit ARM are linked with"));
  std::vector<MemoryFile> files;
  files.reserve(job.objects.size());
  for (const ObjectBytes &object : job.objects) {
    files.emplace_back(object);
    if (!files.back().complete())
      return absl::ResourceExhaustedError(
          absl::StrCat("no memory for an object of ", object.size, " bytes: ", std::strerror(errno)));
  }
  std::string script = versionScript(job);
  MemoryFile scriptFile({reinterpret_cast<const uint8_t *>(script.data()), script.size()});
  std::vector<std::string> args = linkerArguments(job, tools, files, scriptFile.path());
  llvm::SmallVector<const char *> argv;
  for (const std::string &arg : args)
    argv.push_back(arg.c_str());
  std::string words;
  llvm::raw_string_ostream stream(words);
  MemoryFile linked({nullptr, 0});
  if (!linked.complete())
    return absl::ResourceExhaustedError(absl::StrCat("no memory to link in: ", std::strerror(errno)));
  int code = 0;
  bool cut = false;
  {
    StandardOutputInto aside(linked.descriptor(), cut);
    code = lld::lldMain(argv, stream, stream, {{lld::Gnu, &lld::elf::link}}).retCode;
  }
  if (code != 0)
    return absl::InternalError(absl::StrCat("linking ", job.output, " failed:\n", words));
  if (cut)
    return absl::ResourceExhaustedError(absl::StrCat("cannot write ", job.output,
                                                     ": it does not fit into memory, or into the size that a file may "
                                                     "have (ulimit -f)"));
  return writeProgram(linked.descriptor(), job);
}

} // namespace kiln
