// What a program was built from, hashed; the folder, and what of it is intact.

#include "frontend/cli/Cache.h"

#include "frontend/cli/Installed.h"
#include "frontend/driver/Files.h"
#include "runtime/program/Weights.h"
#include "runtime/support/CacheFolder.h"

#include "absl/strings/str_cat.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/SHA256.h"
#include "llvm/Support/xxhash.h"
#include "llvm/TargetParser/Host.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <map>
#include <sys/file.h>
#include <unistd.h>

namespace kiln {

namespace {

/// Each part is preceded by its length, so that no two lists of parts hash alike by running together.
void add(llvm::SHA256 &hash, llvm::StringRef part) {
  hash.update(absl::StrCat(part.size(), ":"));
  hash.update(part);
}

absl::Status addFile(llvm::SHA256 &hash, const std::string &path) {
  if (absl::Status input = checkInput(path); !input.ok())
    return input;
  llvm::ErrorOr<std::unique_ptr<llvm::MemoryBuffer>> buffer = llvm::MemoryBuffer::getFile(path);
  if (!buffer)
    return absl::NotFoundError(absl::StrCat("cannot read ", path, ": ", buffer.getError().message()));
  add(hash, (*buffer)->getBuffer());
  return absl::OkStatus();
}

void addWeights(llvm::SHA256 &hash, const WeightSet &weights) {
  add(hash, safetensorsHeader(weights.tensors.tensors(), weights.metadata));
  for (const TensorView &tensor : weights.tensors.tensors())
    hash.update(llvm::ArrayRef(MadeBytes(tensor).view.data, tensor.bytes));
}

/// Made where it is not there.
absl::StatusOr<std::string> programFolder() {
  const std::string &folder = cacheFolder();
  if (folder.empty())
    return absl::FailedPreconditionError("no folder for built programs: set KILN_CACHE_DIR, XDG_CACHE_HOME or HOME, or "
                                         "use `kiln build -o PROGRAM`");
  if (std::error_code error = llvm::sys::fs::create_directories(folder))
    return absl::UnavailableError(absl::StrCat("cannot create ", folder, ": ", error.message(),
                                               "; set KILN_CACHE_DIR to a folder that can be written"));
  return folder;
}

} // namespace

namespace {

/// Size and hash; empty where the file cannot be read.
std::string sumOf(const std::string &path) {
  auto file = llvm::MemoryBuffer::getFile(path, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!file)
    return "";
  llvm::StringRef bytes = (*file)->getBuffer();
  llvm::ArrayRef<uint8_t> data(bytes.bytes_begin(), bytes.size());
  return absl::StrCat(bytes.size(), " ", absl::Hex(llvm::xxh3_64bits(data), absl::kZeroPad16), "\n");
}

} // namespace

/// Of a program and the plugins that are its own: files that have its name before theirs.
static std::string sumOfAll(const std::string &path) {
  std::map<std::string, std::string> sums;
  std::string own = absl::StrCat(llvm::sys::path::filename(path).str(), "-");
  std::error_code error;
  for (llvm::sys::fs::directory_iterator file(llvm::sys::path::parent_path(path), error), end; !error && file != end;
       file.increment(error))
    if (llvm::StringRef name = llvm::sys::path::filename(file->path()); name.starts_with(own) && name.ends_with(".so"))
      sums[name.str()] = sumOf(file->path());
  std::string all = sumOf(path);
  for (const auto &[name, sum] : sums)
    absl::StrAppend(&all, name, " ", sum);
  return all;
}

CacheEntry::CacheEntry(std::string path) : path_(std::move(path)) {
  std::string beside = path_ + ".sum";
  seal_ = ::open(beside.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (seal_ < 0) // somebody else's cache, which can be read alone
    seal_ = ::open(beside.c_str(), O_RDONLY | O_CLOEXEC);
  if (seal_ < 0 || flock(seal_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
    return;
  std::fprintf(stderr, "kiln: another process builds this program; waiting for it\n");
  while (flock(seal_, LOCK_EX) != 0 && errno == EINTR)
    continue;
}

CacheEntry::~CacheEntry() {
  if (seal_ >= 0)
    close(seal_);
}

bool CacheEntry::intact() const {
  char text[8192] = {};
  if (seal_ < 0 || pread(seal_, text, sizeof text - 1, 0) <= 0 || !llvm::sys::fs::can_execute(path_))
    return false;
  return sumOfAll(path_) == text;
}

void CacheEntry::open() {
  if (llvm::sys::fs::exists(path_) && !intact())
    std::fprintf(stderr, "kiln: the program in the cache is not as it was built (%s); building it again\n",
                 path_.c_str());
  if (seal_ >= 0)
    (void)!ftruncate(seal_, 0); // a cache that cannot be written to is told when the program is
}

absl::Status CacheEntry::seal() {
  std::string sum = sumOfAll(path_);
  if (seal_ >= 0 && !sum.empty() && pwrite(seal_, sum.data(), sum.size(), 0) == static_cast<ssize_t>(sum.size()))
    return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("cannot write ", path_, ".sum: ", std::strerror(errno)));
}

/// The compiler itself, what it links, and the backends (the cpu takes what another one refuses): their files' sizes
/// and times change with every build.
static absl::Status addCompiler(llvm::SHA256 &hash, const ModelOptions &options) {
  std::vector<std::string> files = {llvm::sys::fs::getMainExecutable(nullptr, nullptr),
                                    absl::StrCat(installed().libraries(), "/libkiln_program.a")};
  for (const std::string &name : {options.backend, std::string("cpu")}) {
    std::string why;
    std::shared_ptr<host::Backend> backend = installed().backends().find(name, why);
    if (!backend)
      return absl::InvalidArgumentError(why);
    files.push_back(backend->origin());
    files.push_back(absl::StrCat(installed().libraries(), "/libkiln_", backend->name(), "_run.a"));
  }
  for (const std::string &file : files) {
    llvm::sys::fs::file_status status;
    if (!llvm::sys::fs::status(file, status))
      add(hash,
          absl::StrCat(file, " ", status.getSize(), " ", status.getLastModificationTime().time_since_epoch().count()));
  }
  if (const char *sysroot = std::getenv("KILN_SYSROOT"))
    add(hash, absl::StrCat("sysroot ", sysroot));
  return absl::OkStatus();
}

/// "native" is another processor on another machine, and may have fewer features in a virtual one.
static void addProcessor(llvm::SHA256 &hash) {
  add(hash, llvm::sys::getHostCPUName());
  std::vector<std::string> features;
  for (const auto &feature : llvm::sys::getHostCPUFeatures())
    if (feature.second)
      features.push_back(feature.first().str());
  llvm::sort(features);
  for (const std::string &feature : features)
    add(hash, feature);
}

absl::StatusOr<std::string> programKey(const ModelOptions &options, const std::vector<std::string> &settings) {
  llvm::SHA256 hash;
  if (absl::Status known = addCompiler(hash, options); !known.ok())
    return known;
  if (options.text)
    add(hash, *options.text);
  else if (absl::Status read = addFile(hash, options.file); !read.ok())
    return read;
  if (!options.text) // files that the model takes declarations from
    for (const std::string &file : options.importedFiles) {
      add(hash, file);
      if (absl::Status read = addFile(hash, file); !read.ok())
        return read;
    }
  if (options.weightSet)
    addWeights(hash, *options.weightSet);
  add(hash, options.tokenizer);
  for (const std::string &file :
       {options.weights, options.importance, namesFile(options.weightsAs) ? options.weightsAs : ""})
    if (absl::Status read = file.empty() ? absl::OkStatus() : addFile(hash, file); !read.ok())
      return read;
  llvm::SmallString<256> full(options.file);
  if (std::error_code error = llvm::sys::fs::make_absolute(full))
    return absl::UnavailableError(absl::StrCat("cannot find the folder of ", options.file, ": ", error.message()));
  add(hash, full);
  for (const std::string &part : {options.model, options.backend, options.targetCpu, options.triple,
                                  options.targetDevice, options.math, options.compute, options.weightsAs})
    add(hash, part);
  if (options.redZones)
    add(hash, "red zones");
  if (options.observe)
    add(hash, "observe");
  if (options.blockRows)
    add(hash, absl::StrCat("block rows ", options.blockRows));
  if (options.shards)
    add(hash, absl::StrCat("shards ", options.shards));
  if (options.memoryBudget)
    add(hash, absl::StrCat("memory budget ", options.memoryBudget));
  if (options.targetCpu.empty() || llvm::StringRef(options.targetCpu).split(':').first == "native")
    addProcessor(hash);
  for (const auto &[name, value] : options.set)
    add(hash, absl::StrCat("set ", name, "=", value));
  for (const auto &[name, path] : options.data)
    add(hash, absl::StrCat("data ", name, "=", path));
  for (const auto &[name, bound] : options.bounds)
    add(hash, absl::StrCat("bound ", name, "=", bound));
  for (const std::string &setting : settings)
    add(hash, absl::StrCat("backend option ", setting));
  for (const std::string &entry : options.entries)
    add(hash, absl::StrCat("entry ", entry));
  return llvm::toHex(hash.final(), /*LowerCase=*/true);
}

absl::StatusOr<std::string> cachePath(const ModelOptions &options, const std::vector<std::string> &settings) {
  absl::StatusOr<std::string> key = programKey(options, settings);
  if (!key.ok())
    return key;
  absl::StatusOr<std::string> folder = programFolder();
  if (!folder.ok())
    return folder;
  return absl::StrCat(*folder, "/", llvm::sys::path::stem(options.file).str(), "-", key->substr(0, 24));
}

} // namespace kiln
