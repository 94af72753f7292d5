/* What a library says with its weights changed from all sides: made, trained, loaded, trained on; a second model
 * beside it. Each number to the bit, forty times: packed by the launch, packed once, read as it was packed. */
#include "weights.h"
#include <stdio.h>
#include <stdlib.h>

enum { batch = 2, input = 64 * 12 * 12, output = 520 };
static float x[batch * input], target[batch * output], y[batch * output];

static void must(int done) {
  if (done)
    return;
  fprintf(stderr, "%s\n", weights_last_error());
  exit(1);
}

static weights_model *made(uint32_t seed) {
  weights_model *model = weights_create(2, 0, seed);
  must(model != NULL);
  return model;
}

static void say(weights_model *model, const char *what) {
  kiln_tensor in = {KILN_TENSOR_F32, 4, {batch, 64, 12, 12}, x}, out = {KILN_TENSOR_F32, 2, {batch, output}, y};
  for (int times = 0; times < 40; ++times) {
    must(weights_run(model, "forward", &in, 1, &out, 1));
    printf("%s", what);
    for (int i = 0; i < batch * output; ++i)
      printf(" %a", (double)y[i]);
    printf("\n");
  }
}

static void train(weights_model *model) {
  kiln_tensor both[2] = {{KILN_TENSOR_F32, 4, {batch, 64, 12, 12}, x}, {KILN_TENSOR_F32, 2, {batch, output}, target}};
  double loss;
  for (int i = 0; i < 3; ++i)
    must(weights_train_step(model, both, 2, &loss));
}

int main(void) {
  for (int i = 0; i < batch * input; ++i)
    x[i] = (float)(i * 7 % 101) / 101;
  for (int i = 0; i < batch * output; ++i)
    target[i] = (float)(i % 3);
  weights_model *model = made(7), *beside = made(8);
  say(model, "made");
  must(weights_save(model, "first.safetensors"));
  say(beside, "beside");
  train(model);
  say(model, "trained");
  say(beside, "beside");
  must(weights_load(model, "first.safetensors"));
  say(model, "made");
  train(model);
  train(model);
  say(model, "trained twice");
  weights_destroy(model);
  say(beside, "beside");
  weights_destroy(beside);
  return 0;
}
