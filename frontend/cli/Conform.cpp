// kiln conform: the kit of backends/conformance, with what only the compiler can give it: objects linked into this
// process, and programs of whole models.
#include "backends/conformance/Conformance.h"
#include "frontend/cli/Commands.h"
#include "frontend/cli/Compile.h"

#include "absl/strings/str_cat.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

#include <cstdio>
#include <dlfcn.h>
#include <fstream>
#include <unistd.h>

namespace kiln {

namespace {

/// Objects become a shared library that is loaded and forgotten.
std::shared_ptr<const void> linkObjects(const std::vector<host::Blob> &blobs, const std::string &symbol,
                                        std::string &error) {
  LinkJob job;
  for (const host::Blob &blob : blobs)
    if (blob.kind == KILN_BLOB_OBJECT)
      job.objects.push_back({blob.bytes.data(), blob.bytes.size()});
  llvm::SmallString<128> path;
  if (std::error_code code = llvm::sys::fs::createTemporaryFile("kiln-conform", "so", path)) {
    error = "cannot make a temporary file: " + code.message();
    return nullptr;
  }
  job.output = path.str().str();
  job.shared = true;
  absl::Status linked = link(job);
  void *library = linked.ok() ? dlopen(job.output.c_str(), RTLD_NOW | RTLD_LOCAL) : nullptr;
  if (!linked.ok())
    error = std::string(linked.message());
  else if (!library)
    error = dlerror();
  unlink(job.output.c_str());
  void *address = library ? dlsym(library, symbol.c_str()) : nullptr;
  if (library && !address) {
    error = "the backend's objects do not define " + symbol;
    dlclose(library);
  }
  if (!address)
    return nullptr;
  return std::shared_ptr<const void>(address, [library](const void *) { dlclose(library); });
}

/// Norms, attention, recurrence, convolution, losses; forward, backward and optimizer of each. The files that their
/// data come from are not read: a program's arguments are made by the kit.
const char samples[] = R"(
model Dense(width=33):
    hidden = Linear(17, width)
    norm   = LayerNorm(width)
    out    = Linear(width, 5)

    def forward(features: f32[B, 17]) -> f32[B, 5]:
        return out(norm(gelu(hidden(features))))

train Dense:
    data      = csv("none.csv", features=17, label=17, batch=7)
    loss      = cross_entropy(forward(data.features), data.label)
    optimizer = AdamW(lr=0.01, weight_decay=0.1)
    clip      = 1.0
    steps     = 10

model Attend(vocab=13, context=9, width=12):
    tokens = Embedding(vocab, width)
    places = Embedding(context, width)
    attn   = SelfAttention(width, 3, causal=True)
    norm   = RMSNorm(width)

    def forward(ids: i32[B, T <= context]) -> f32[B, T, vocab]:
        x = tokens(ids) + places(iota(T))
        return norm(x + attn(x)) @ tokens.weight.T

train Attend:
    data      = text("none.txt", context=9, batch=3)
    loss      = cross_entropy(forward(data.ids), data.next)
    optimizer = Adam(lr=0.001)
    steps     = 10

model Recurrent(vocab=13, width=10):
    tokens = Embedding(vocab, width)
    lstm   = LSTM(width, width)
    out    = Linear(width, vocab)

    def forward(ids: i32[B, T]) -> f32[B, T, vocab]:
        y, state = lstm(tokens(ids))
        return out(y)

train Recurrent:
    data      = text("none.txt", context=11, batch=3)
    loss      = cross_entropy(forward(data.ids), data.next)
    optimizer = SGD(lr=0.1, momentum=0.9)
    steps     = 10

model Convolve():
    conv = Conv2d(1, 6, 3, padding=1)
    norm = BatchNorm2d(6)
    pool = MaxPool2d(2)
    out  = Linear(96, 3)

    def forward(features: f32[B, 64]) -> f32[B, 3]:
        x = pool(relu(norm(conv(reshape(features, B, 1, 8, 8)))))
        return out(reshape(x, B, 96))

train Convolve:
    data      = csv("none.csv", features=64, label=64, batch=5)
    loss      = cross_entropy(forward(data.features), data.label)
    optimizer = SGD(lr=0.05)
    steps     = 10
)";

/// The samples' programs for the backend, and for the judge.
class Models {
public:
  Models() {
    if (!llvm::sys::fs::createTemporaryFile("kiln-conform", "kiln", path_)) {
      std::error_code code;
      llvm::raw_fd_ostream(path_, code) << samples;
    }
  }
  ~Models() { unlink(path_.c_str()); }

  void build(const std::string &backend, conformance::Options &kit, conformance::Report &report) {
    for (const char *name : {"Dense", "Attend", "Recurrent", "Convolve"}) {
      absl::Status status;
      const kiln_program *program = build(name, backend, status);
      const kiln_program *judge = status.ok() ? build(name, "reference", status) : nullptr;
      if (status.ok())
        kit.models.push_back({absl::StrCat(name, ", train_step"), program, judge, 0, 3});
      else
        report.add({"models",
                    name,
                    {},
                    {},
                    absl::IsUnimplemented(status) ? conformance::Outcome::Refused : conformance::Outcome::Failure,
                    std::string(status.message()),
                    0,
                    0,
                    1});
    }
  }

private:
  const kiln_program *build(const char *name, const std::string &backend, absl::Status &status) {
    ModelOptions options;
    options.file = path_.str().str();
    options.model = name;
    options.backend = backend;
    options.entries = {"train_step"};
    options.jobs = 1;
    auto &compilation = *compilations_.emplace_back(std::make_unique<Compilation>(options));
    status = compilation.load();
    if (status.ok())
      status = compilation.runPasses();
    if (status.ok())
      status = compilation.plan();
    if (!status.ok())
      return nullptr;
    if (compilation.program().usedBackends().size() > 1)
      status = absl::UnimplementedError("it does not take all of it: the rest would run on another backend");
    return &compilation.program().programOf(0);
  }

  llvm::SmallString<128> path_;
  std::vector<std::unique_ptr<Compilation>> compilations_; // programs live in them
};

} // namespace

int commandConform(const ConformOptions &options) {
  std::string error;
  std::shared_ptr<host::Backend> backend = backends().find(options.backend, error);
  if (!backend) {
    std::fprintf(stderr, "kiln: error: %s\n", error.c_str());
    return 1;
  }
  conformance::Report report;
  if (!options.expected.empty()) {
    std::ifstream file(options.expected);
    if (!file) {
      std::fprintf(stderr, "kiln: error: cannot read %s\n", options.expected.c_str());
      return 1;
    }
    for (std::string line; std::getline(file, line);)
      if (!line.empty() && line[0] != '#')
        report.expected.push_back(line);
  }
  conformance::Options kit;
  kit.full = options.full;
  kit.seed = options.seed;
  kit.device = options.device;
  kit.only = options.only;
  Models models;
  if (options.only.empty())
    models.build(options.backend, kit, report);
  conformance::run(backend, linkObjects, kit, report);
  std::fputs(report.table().c_str(), stdout);
  if (!options.json.empty()) {
    std::string text = report.json(backend->name(), options.full ? "full" : "pairwise", options.seed);
    std::error_code code;
    llvm::raw_fd_ostream stream(options.json, code);
    if (!code) {
      stream << text;
      stream.close();
      code = stream.error();
      stream.clear_error();
    }
    if (code) {
      std::fprintf(stderr, "kiln: error: cannot write %s: %s\n", options.json.c_str(), code.message().c_str());
      return 1;
    }
  }
  return report.failed() ? 1 : 0;
}

} // namespace kiln
