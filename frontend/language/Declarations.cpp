#include "frontend/language/Declarations.h"

#include <set>

namespace kiln::language {

static void add(Declarations::Names &names, const std::string &name, Declarations::Declared declared,
                Diagnostics &diagnostics) {
  Range range = declared.range;
  if (auto [place, isNew] = names.try_emplace(name, std::move(declared)); !isNew)
    diagnostics.error(range, "'" + name + "' is declared twice").note(place->second.range, "the first one is here");
}

void Declarations::declare(const SourceFile &file, const std::vector<const Stmt *> &statements,
                           Diagnostics &diagnostics) {
  own_ = &file;
  Names &names = files_[own_];
  for (const Stmt *statement : statements) {
    if (statement->kind == StmtKind::Import)
      for (const Argument &one : statement->target->arguments)
        add(names, one.name, {statement, one.nameRange, one.value->text}, diagnostics);
    else if (statement->kind == StmtKind::Assign)
      add(names, statement->target->text, {statement, statement->target->range, {}}, diagnostics);
    else
      add(names, statement->name, {statement, statement->nameRange, {}}, diagnostics);
  }
}

void Declarations::each(const std::function<void(const Stmt &)> &visit) const {
  for (const auto &[file, names] : files_)
    for (const auto &[name, declared] : names)
      if (declared.statement->kind != StmtKind::Import)
        visit(*declared.statement);
}

const Declarations::Names &Declarations::namesIn(const SourceFile *file) const {
  static const Names none;
  auto found = files_.find(file);
  if (found == files_.end())
    found = files_.find(own_);
  return found == files_.end() ? none : found->second;
}

std::vector<std::pair<std::string, const Stmt *>> Declarations::modelsIn(const SourceFile *file) const {
  std::vector<std::pair<std::string, const Stmt *>> models;
  for (const auto &[name, declared] : namesIn(file))
    if (const Stmt *found = find(name, file); found && found->isModel)
      models.emplace_back(name, found);
  return models;
}

bool Declarations::follow(std::string &name, const SourceFile *&file) const {
  const Names &names = namesIn(file);
  auto found = names.find(name);
  if (found == names.end() || found->second.statement->kind != StmtKind::Import || !found->second.statement->file)
    return false;
  file = found->second.statement->file;
  name = found->second.from;
  return true;
}

const Stmt *Declarations::find(std::string_view name, const SourceFile *file) const {
  std::string there(name);
  std::set<std::pair<const SourceFile *, std::string>> seen; // files may hand a name around in a circle
  while (seen.emplace(file, there).second && follow(there, file))
    continue;
  const Names &names = namesIn(file);
  auto found = names.find(there);
  return found == names.end() || found->second.statement->kind == StmtKind::Import ? nullptr : found->second.statement;
}

void Declarations::checkImports(Diagnostics &diagnostics,
                                const std::function<bool(const std::string &)> &isKnown) const {
  for (const auto &[file, names] : files_)
    for (const auto &[name, declared] : names) {
      const SourceFile *from = declared.statement->kind == StmtKind::Import ? declared.statement->file : nullptr;
      if (!from || find(name, file))
        continue;
      std::vector<std::string> there;
      for (const auto &[other, unused] : namesIn(from))
        there.push_back(other);
      const Expr *written = nullptr;
      for (const Argument &one : declared.statement->target->arguments)
        if (one.name == name)
          written = one.value.get();
      std::string near = nearest(declared.from, there);
      if (namesIn(from).contains(declared.from))
        diagnostics.error(written->range,
                          "'" + declared.from + "' is handed on by files in a circle, and declared in none");
      else
        diagnostics.error(written->range, "'" + from->name() + "' declares no '" + declared.from + "'")
            .withHelp(isKnown(declared.from) ? "'" + declared.from + "' is known without an import"
                      : near.empty()         ? ""
                                             : "did you mean '" + near + "'?");
    }
}

} // namespace kiln::language
