// The vocabulary of recipes: groups, intervals, data readers, ways to draw. Each call is a record of its settings.
#include "frontend/language/Elaborate.h"

namespace kiln::language {

/// The loss of this step's batch, and its gradient, where all parameters are `p`: a call of a function without a body,
/// which the train step puts the loss's in place of.
static Value evaluateLoss(BoundCall &call) {
  Elaborator &e = call.e;
  Entry *entry = e.entry();
  if (!entry || !entry->evaluates) {
    e.error(call.range, "evaluate is known in an optimizer's update_all, which moves all parameters at once")
        .withHelp("write def update_all(g, lr, step), with p and g as rows of all parameters' elements");
    return Value::error();
  }
  mlir::Type wanted = entry->evaluates.getInput(0);
  std::optional<Value> row = call.tensor(0);
  if (!row)
    return Value::error();
  if (row->tensor.getType() != wanted) {
    e.error(call.ranges[0], "evaluate takes a row of all parameters' elements, " + typeName(wanted) +
                                ", as p is; this is " + describe(*row));
    return Value::error();
  }
  std::string name = entry->name + ".evaluate";
  auto module = entry->func->getParentOfType<mlir::ModuleOp>();
  mlir::OpBuilder &b = e.builder();
  if (!module.lookupSymbol(name)) {
    mlir::OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToEnd(module.getBody());
    b.create<mlir::func::FuncOp>(entry->func.getLoc(), name, entry->evaluates).setPrivate();
  }
  auto made = e.emit(call.range).create<mlir::func::CallOp>(name, entry->evaluates.getResults(), row->tensor);
  return Value::listOf({Value::tensorOf(made.getResult(0)), Value::tensorOf(made.getResult(1))});
}

static const Builtin builtins[] = {
    {"clip_norm", "value", makeRecord, Space::Recipe},
    {"clip_value", "value", makeRecord, Space::Recipe},
    {"group", "parameters, lr_scale=1.0, **settings", makeRecord, Space::Recipe},
    {"over", "parameters, optimizer", makeRecord, Space::Recipe},
    {"load", "path, prefix=None, partial=False, strip=None, ignore=None, rename=None", makeRecord, Space::Recipe},
    {"every", "n, batches=None, keep=2", makeRecord, Space::Recipe},
    {"plateau", "base, factor=0.1, patience=10, metric=\"loss\", best=\"min\", threshold=1e-4, least=0.0", makeRecord,
     Space::Rate},
    {"evaluate", "p", evaluateLoss, Space::Rate},
    {"patience", "n, metric=\"loss\", best=\"min\", minimum=0.0", makeRecord, Space::Recipe},
    {"text", "path, context, batch, tokens=\"characters\", vocabulary=None, validation=None, test=None, shuffle=True",
     makeRecord, Space::Reader},
    {"csv",
     "path, features=None, batch, label=None, target=None, separator=\",\", skip=0, header=False, normalise=False, "
     "normalise_target=False, classes=None, categories=None, missing=None, rows=None, validation=None, test=None, "
     "shuffle=True",
     makeRecord, Space::Reader},
    {"table",
     "path, text, batch, max_length, pair=None, label=None, target=None, normalise_target=False, tokens=\"words\", "
     "vocabulary=None, min_count=1, special_tokens=None, classes=None, separator=None, skip=0, header=None, "
     "quotes=True, "
     "padding=\"longest\", bucket=50, validation=None, test=None, shuffle=True",
     makeRecord, Space::Reader},
    {"conll",
     "path, batch, max_length, word=0, tag=-1, classes=None, tokens=\"words\", vocabulary=None, min_count=1, "
     "special_tokens=None, padding=\"longest\", bucket=50, validation=None, test=None, shuffle=True",
     makeRecord, Space::Reader},
    {"squad",
     "path, batch, max_length, stride=128, tokens=\"words\", vocabulary=None, min_count=1, special_tokens=None, "
     "padding=\"longest\", bucket=50, validation=None, test=None, shuffle=True",
     makeRecord, Space::Reader},
    {"masked",
     "path, batch, max_length, share=0.15, next_sentence=False, sentence_end=None, tokens=\"words\", "
     "vocabulary=None, "
     "min_count=1, special_tokens=None, padding=\"longest\", bucket=50, validation=None, test=None, shuffle=True",
     makeRecord, Space::Reader},
    {"corrupted",
     "path, batch, max_length, share=0.15, span=3.0, tokens=\"words\", vocabulary=None, min_count=1, "
     "padding=\"longest\", validation=None, test=None, shuffle=True",
     makeRecord, Space::Reader},
    {"skipgram",
     "path, batch, window=5, negative=5, cbow=False, tokens=\"words\", vocabulary=None, min_count=1, "
     "validation=None, "
     "test=None, shuffle=True",
     makeRecord, Space::Reader},
    {"series",
     "path, columns, context, batch, horizon=1, stride=1, group=None, separator=None, skip=0, header=None, "
     "quotes=True, normalise=False, missing=None, validation=None, test=None, shuffle=True",
     makeRecord, Space::Reader},
    {"images",
     "path, labels=None, batch, size=(28, 28), channels=None, mean=0.0, std=1.0, shortest=None, stretch=None, "
     "middle=\"even\", resample=\"bilinear\", classes=None, rows=None, validation=None, test=None, shuffle=True",
     makeRecord, Space::Reader},
    {"boxes",
     "path, batch, objects, pictures=None, size=(28, 28), channels=3, mean=0.0, std=1.0, resample=\"bilinear\", "
     "classes=None, rows=None, validation=None, test=None, shuffle=True",
     makeRecord, Space::Reader},
    {"pairs",
     "source, target, batch, source_words, target_words, max_length, bucket=50, validation=None, test=None, "
     "shuffle=True",
     makeRecord, Space::Reader},
    {"arrays", "path, batch, rows=None, validation=None, test=None, shuffle=True, **fields", makeRecord, Space::Reader},
    {"safetensors", "path, **fields", makeRecord, Space::Reader},
    {"greedy",
     "from=None, until=None, tokens=None, repetition_penalty=1.0, suppress=None, suppress_first=None, longest=None, "
     "no_repeat_ngram=None, no_copy_ngram=None, shortest=None, min_tokens=None, last=None, "
     "times=None, time_step=0.02, first_time=None, previous=None",
     makeRecord, Space::Draw},
    {"sample",
     "temperature=1.0, top_k=0, top_p=1.0, min_p=0.0, from=None, until=None, tokens=None, repetition_penalty=1.0, "
     "suppress=None, suppress_first=None, longest=None, no_repeat_ngram=None, no_copy_ngram=None, shortest=None, "
     "min_tokens=None, last=None, times=None, time_step=0.02, first_time=None, previous=None",
     makeRecord, Space::Draw},
    {"beam",
     "width, length_penalty=0.0, early_stopping=None, renormalise=None, from=None, until=None, tokens=None, "
     "repetition_penalty=1.0, "
     "suppress=None, suppress_first=None, longest=None, no_repeat_ngram=None, no_copy_ngram=None, shortest=None, "
     "min_tokens=None, last=None",
     makeRecord, Space::Draw},
};

llvm::ArrayRef<Builtin> recipeBuiltins() { return builtins; }

} // namespace kiln::language
