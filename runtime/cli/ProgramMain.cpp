#include "runtime/cli/Commands.h"

int main(int count, char **arguments) {
  return kiln::runProgram(kiln_image, std::vector<std::string>(arguments, arguments + count));
}
