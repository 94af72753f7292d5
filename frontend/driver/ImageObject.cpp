// Sections and symbols of the image, written with LLVM's own object writer.

#include "frontend/driver/ImageObject.h"

#include "runtime/program/Image.h"
#include "runtime/program/Manifest.h"

#include "absl/strings/str_cat.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/DerivedTypes.h"
#include "llvm/IR/GlobalVariable.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Target/TargetMachine.h"

#include <memory>
#include <tuple>
#include <zlib.h>

namespace kiln {

namespace {

/// As gzip, which the runtime reads as well: a tenth of the size.
std::string compressed(llvm::StringRef text) {
  z_stream stream{};
  constexpr int kGzip = 15 + 16;
  deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, kGzip, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef *>(const_cast<char *>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef *>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

class ImageBuilder {
public:
  explicit ImageBuilder(llvm::Module &module) : module_(module), context_(module.getContext()) {}

  void build(const ImageParts &parts) {
    llvm::Type *i32 = llvm::Type::getInt32Ty(context_), *i64 = llvm::Type::getInt64Ty(context_);
    std::string manifest = compressed(parts.manifest);
    auto word = [&](uint64_t value) { return llvm::ConstantInt::get(i64, value); };
    // Field for field kiln_program_image.
    llvm::Constant *fields[] = {
        llvm::ConstantInt::get(i32, sizeof(kiln_program_image)),
        llvm::ConstantInt::get(i32, KILN_IMAGE_VERSION),
        bytes(manifest, 16),
        word(manifest.size()),
        bytes(parts.constants, 64),
        word(parts.constants.size()),
        word(parts.weightBytes),
        backends(parts.backends),
        word(parts.backends.size()),
        bytes(parts.tokenizer, 1),
        word(parts.tokenizer.size()),
    };
    llvm::Constant *image = llvm::ConstantStruct::getAnon(context_, fields);
    exported("kiln_image", image);
    llvm::Constant *none = llvm::ConstantPointerNull::get(llvm::PointerType::getUnqual(context_));
    std::vector<llvm::Constant *> readers;
    for (const std::string &name : parts.readers)
      readers.push_back(external("kiln_reader_" + name));
    readers.push_back(none);
    exported("kiln_readers", llvm::ConstantArray::get(llvm::ArrayType::get(none->getType(), readers.size()), readers));
    exported("kiln_tokenizers", parts.tokenizers ? external("kiln_tokenizer_reader") : none);
    exported("kiln_recordings", parts.recordings ? external("kiln_recording_reader") : none);
    // What the runtime has as weak names: the linker takes each by this alone.
    for (auto [has, name, part] : {std::tuple(parts.generates, "kiln_generates", "kiln_generate_command"),
                                   {parts.chats, "kiln_chats", "kiln_chat_command"},
                                   {parts.rules, "kiln_rules", "kiln_rule_options"},
                                   {parts.hears, "kiln_hears", "kiln_hear_command"},
                                   {parts.texts, "kiln_texts", "kiln_text_rows"},
                                   {parts.rows, "kiln_rows", "kiln_data_rows"},
                                   {parts.units, "kiln_units", "kiln_result_units"},
                                   {parts.pictures, "kiln_pictures", "kiln_picture_rows"},
                                   {parts.labels, "kiln_labels", "kiln_result_labels"},
                                   {parts.shards, "kiln_shards", "kiln_sharded_step"}})
      if (has)
        exported(name, external(part));
  }

private:
  void exported(const char *name, llvm::Constant *value) {
    new llvm::GlobalVariable(module_, value->getType(), true, llvm::GlobalValue::ExternalLinkage, value, name);
  }

  /// Field for field kiln_image_backend.
  llvm::Constant *backends(const std::vector<ImageBackend> &list) {
    llvm::Type *i64 = llvm::Type::getInt64Ty(context_);
    llvm::Constant *null = llvm::ConstantPointerNull::get(llvm::PointerType::getUnqual(context_));
    std::vector<llvm::Constant *> rows;
    for (const ImageBackend &backend : list) {
      bool linked = backend.artifact.empty() && !backend.artifactSymbol.empty();
      rows.push_back(llvm::ConstantStruct::getAnon(
          context_,
          {bytes(backend.name + '\0', 1), backend.plugin.empty() ? external("kiln_backend_" + backend.name) : null,
           backend.plugin.empty() ? null : bytes(backend.plugin + '\0', 1),
           backend.plugin.empty() || backend.artifactVersion ? null : bytes(digest(backend), 1),
           linked ? external(backend.artifactSymbol) : bytes(backend.artifact, 64),
           llvm::ConstantInt::get(i64, linked ? 0 : backend.artifact.size()),
           llvm::ConstantInt::get(i64, backend.artifactVersion)}));
    }
    llvm::Constant *table = llvm::ConstantArray::get(llvm::ArrayType::get(rows.front()->getType(), rows.size()), rows);
    return new llvm::GlobalVariable(module_, table->getType(), true, llvm::GlobalValue::PrivateLinkage, table,
                                    "backends");
  }

  static llvm::StringRef digest(const ImageBackend &backend) {
    return {reinterpret_cast<const char *>(backend.pluginDigest.data()), backend.pluginDigest.size()};
  }

  llvm::Constant *bytes(llvm::StringRef data, uint64_t alignment) {
    if (data.empty())
      return llvm::ConstantPointerNull::get(llvm::PointerType::getUnqual(context_));
    llvm::Constant *value = llvm::ConstantDataArray::getRaw(data, data.size(), llvm::Type::getInt8Ty(context_));
    auto *global =
        new llvm::GlobalVariable(module_, value->getType(), true, llvm::GlobalValue::PrivateLinkage, value, "data");
    global->setAlignment(llvm::Align(alignment));
    return global;
  }

  llvm::Constant *external(const std::string &name) {
    return new llvm::GlobalVariable(module_, llvm::Type::getInt8Ty(context_), true, llvm::GlobalValue::ExternalLinkage,
                                    nullptr, name);
  }

  llvm::Module &module_;
  llvm::LLVMContext &context_;
};

} // namespace

absl::StatusOr<llvm::SmallVector<char, 0>> imageObject(const ImageParts &parts) {
  llvm::LLVMContext context;
  llvm::Module module("kiln_image", context);
  std::string error;
  const llvm::Target *target = llvm::TargetRegistry::lookupTarget(parts.triple, error);
  if (!target)
    return absl::InvalidArgumentError(absl::StrCat("no code generation for the target ", parts.triple, ": ", error));
  llvm::TargetOptions options;
  options.DataSections = true; // what nothing asks for is left out by the linker
  std::unique_ptr<llvm::TargetMachine> machine(
      target->createTargetMachine(parts.triple, "", "", options, llvm::Reloc::PIC_));
  module.setTargetTriple(parts.triple);
  module.setDataLayout(machine->createDataLayout());
  ImageBuilder(module).build(parts);

  llvm::SmallVector<char, 0> object;
  llvm::raw_svector_ostream stream(object);
  llvm::legacy::PassManager passes;
  if (machine->addPassesToEmitFile(passes, stream, nullptr, llvm::CodeGenFileType::ObjectFile))
    return absl::InternalError(absl::StrCat("the target ", parts.triple, " cannot write object files"));
  passes.run(module);
  return object;
}

//===-- What a program has ----------------------------------------------------------------------------------------===//

/// The data of all recipes.
static std::vector<SourceSpec> sourcesOf(const Manifest &manifest) {
  std::vector<SourceSpec> sources = manifest.data;
  for (const StageSpec &stage : manifest.stages)
    sources.insert(sources.end(), stage.data.begin(), stage.data.end());
  return sources;
}

/// Does the program have a use for a tokenizer.json? Where it carries one, where its recipe names one, or where it
/// reads or writes texts, and nothing else says which words the numbers are that it takes.
static bool readsTokenizers(const Manifest &manifest, const ImageParts &parts) {
  if (!parts.tokenizer.empty())
    return true;
  bool ownWords = false;
  for (const SourceSpec &source : sourcesOf(manifest)) {
    for (const Json &value : source.options.object())
      if (value.isString() && llvm::StringRef(value.string()).ends_with(".json"))
        return true;
    ownWords |= source.options.find("tokens") || source.options.find("source_words");
  }
  return !ownWords && (parts.generates || parts.texts) && llvm::any_of(manifest.entries, [](const EntrySpec &entry) {
    return llvm::any_of(entry.arguments, [](const ArgumentSpec &argument) {
      return argument.role == Role::Input && argument.name.find('.') == std::string::npos &&
             !argument.type.shape.empty() && (argument.type.dtype == KILN_I32 || argument.type.dtype == KILN_I64);
    });
  });
}

/// Does the recipe say what an answer may not have, or has to (runtime/generate/Rules.h)?
static bool hasRules(const Json &generate) {
  const Json *draw = generate.isObject() ? generate.find("draw") : nullptr;
  if (!draw)
    return false;
  if (const Json *never = draw->find("suppress"); never && never->isArray())
    for (const Json &word : never->array())
      if (word.isArray())
        return true;
  return llvm::any_of(std::initializer_list<const char *>{"no_repeat_ngram", "no_copy_ngram", "shortest", "min_tokens",
                                                          "last", "early_stopping", "renormalise"},
                      [&](const char *key) { return draw->find(key) != nullptr; });
}

void chooseParts(const Manifest &manifest, bool library, ImageParts &parts) {
  parts.shards = manifest.mostShards() > 0;
  if (library) {
    parts.tokenizer = {};
    return;
  }
  parts.generates = manifest.undrawn().empty();
  parts.texts = llvm::any_of(manifest.entries, [](const EntrySpec &entry) {
    return llvm::any_of(entry.arguments, [](const ArgumentSpec &argument) { return argument.isText(); });
  });
  for (const SourceSpec &source : sourcesOf(manifest))
    if (source.reader != "safetensors" && !llvm::is_contained(parts.readers, source.reader)) // which all programs read
      parts.readers.push_back(source.reader);
  parts.tokenizers = readsTokenizers(manifest, parts);
  parts.recordings = manifest.samplingRate > 0;
  parts.hears = parts.recordings && parts.generates;
  parts.rows = llvm::any_of(sourcesOf(manifest), [](const SourceSpec &source) { return source.givesRows(); });
  parts.units = llvm::any_of(sourcesOf(manifest), [](const SourceSpec &source) {
    return source.normalises("features") || source.normalises("target");
  });
  parts.pictures = manifest.picture.isObject() || llvm::is_contained(parts.readers, "folder");
  parts.labels = !manifest.labels.empty() || llvm::any_of(parts.readers, [](llvm::StringRef one) {
    return one == "csv" || one == "folder" || one == "boxes" || one == "table" || one == "conll";
  });
  // A model from elsewhere: its answers may want rules by an option.
  parts.rules = parts.generates && (!parts.tokenizer.empty() || hasRules(manifest.generate));
  parts.chats = parts.generates && manifest.generate.find("chat");
}

} // namespace kiln
