// The parser's class, shared by Parser.cpp (statements) and ParserExpr.cpp (expressions).
#pragma once

#include "frontend/language/Ast.h"
#include "frontend/language/Lexer.h"

namespace kiln::language {

/// Recursive descent. A function that fails has reported an error and returns null (or false); the statement it is part
/// of is given up and parsing resumes on the next line.
class Parser {
public:
  Parser(const SourceFile &source, Diagnostics &diagnostics);
  std::vector<StmtPtr> file();

private:
  enum class Context { File, Module, Function, Train, Generate };

  // Tokens.
  const Token &peek(size_t ahead = 0) const { return tokens_[std::min(at_ + ahead, tokens_.size() - 1)]; }
  const Token &next();
  bool takeSymbol(std::string_view text);
  bool takeKeyword(std::string_view text);
  bool expectSymbol(std::string_view text, std::string_view where);
  Diagnostic &error(const Token &token, std::string message);
  std::string found(const Token &token) const;
  void skipLine();
  void skipBlock();
  Range since(const Token &first) const { return first.range.to(tokens_[at_ > 0 ? at_ - 1 : 0].range); }

  // Statements (Parser.cpp).
  bool topLevel(std::vector<StmtPtr> &out);
  bool suite(std::vector<StmtPtr> &out, Context context);
  bool statementLine(std::vector<StmtPtr> &out, Context context);
  StmtPtr compound(Context context);
  StmtPtr simple(Context context);
  StmtPtr assignment(Context context);
  bool chain(Stmt &statement, ExprPtr &value);
  StmtPtr bufferOr(StmtPtr statement);
  StmtPtr moduleDeclaration();
  StmtPtr definition(Context context);
  StmtPtr recipe(StmtKind kind);
  StmtPtr importStatement();
  bool importedName(Expr &list);
  bool isImport() const;
  StmtPtr ifStatement(Context context);
  StmtPtr forStatement(Context context);
  StmtPtr scanStatement();
  StmtPtr whileStatement();
  bool loopClauses(Stmt &loop);
  bool loopBody(Stmt &loop, const Token &first, const char *expected);
  bool parameterList(std::vector<Parameter> &out, bool typed);
  bool isModule() const;
  bool isOp() const;
  bool isScan() const;
  /// Reports a statement that belongs to Python.
  bool foreignStatement(const Token &first);

  // Expressions (ParserExpr.cpp).
  ExprPtr make(ExprKind kind, Range range) const;
  ExprPtr expression(); // no bare tuple
  ExprPtr type();
  ExprPtr expressionList(); // "a, b" is a tuple
  ExprPtr target();
  ExprPtr orExpr();
  ExprPtr andExpr();
  ExprPtr notExpr();
  ExprPtr comparison();
  ExprPtr binary(int level);
  ExprPtr unary();
  ExprPtr power();
  ExprPtr postfix();
  ExprPtr atom();
  ExprPtr bracketed();
  std::string foreignExpression(const Token &last) const;
  ExprPtr comprehension(ExprPtr element);
  ExprPtr listDisplay();
  ExprPtr subscript();
  bool callArguments(std::vector<Argument> &out);
  bool checkTarget(const Expr &expr);

  /// Counts what is nested, so that hostile input cannot overflow the stack.
  struct Nesting {
    explicit Nesting(int &depth) : depth(depth) { ++depth; }
    ~Nesting() { --depth; }
    int &depth;
  };
  bool tooManyBlocks();
  bool tooManyExpressions();

  Diagnostics &diagnostics_;
  std::vector<Token> tokens_;
  size_t at_ = 0;
  int blocks_ = 0, expressions_ = 0; // nested around this place
  int failures_ = 0;                 // statements given up so far
  bool inType_ = false;              // where a dimension may have two bounds
  std::vector<StmtPtr> chained_;     // the further assignments of a = b = value
  bool suiteFailed_ = false;         // whether a statement of the last block itself was given up
};

} // namespace kiln::language
