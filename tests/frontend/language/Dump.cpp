// language_dump FILE.kiln [NAME=VALUE...] [DIM<=N...]: the module that a file elaborates to, or its errors. For looking
// by hand.
#include "frontend/language/Load.h"

#include "mlir/IR/MLIRContext.h"

#include <cstdio>
#include <cstdlib>
#include <string>

int main(int argc, char **argv) {
  if (argc < 2)
    return 2;
  kiln::LoadOptions options;
  for (int i = 2; i < argc; ++i) {
    std::string text = argv[i];
    if (size_t at = text.find("<="); at != std::string::npos)
      options.bounds[text.substr(0, at)] = std::atoll(text.c_str() + at + 2);
    else if (size_t at = text.find('='); at != std::string::npos)
      options.set.emplace_back(text.substr(0, at), text.substr(at + 1));
    else
      options.model = text;
  }
  mlir::MLIRContext context;
  kiln::Diagnostics diagnostics;
  mlir::OwningOpRef<mlir::ModuleOp> module = kiln::loadModel(context, argv[1], options, diagnostics);
  std::fputs(diagnostics.render().c_str(), stderr);
  if (!module)
    return 1;
  if (!std::getenv("KILN_QUIET"))
    module->print(llvm::outs());
  return 0;
}
