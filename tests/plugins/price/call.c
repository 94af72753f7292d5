/* Runs a function of a library so many times; price.sh counts the instructions. */
#include "price.h"
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
  float in = 1, out = 0;
  kiln_tensor x = {KILN_TENSOR_F32, 2, {1, 1}, &in}, y = {KILN_TENSOR_F32, 2, {1, 1}, &out};
  price_model *model = price_create(1, 0, 0);
  for (int i = 0; model && argc > 1 && i < atoi(argv[1]); ++i)
    if (!price_run(model, "forward", &x, 1, &y, 1))
      return puts(price_last_error()), 1;
  return model && out == 1 ? 0 : (puts(price_last_error()), 1);
}
