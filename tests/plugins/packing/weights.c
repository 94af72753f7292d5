/* A library's weights from all sides: made, trained, saved, loaded, made anew; what the model says after each. */
#include "plane.h"
#include <stdio.h>
#include <stdlib.h>

static float x[16][4], target[16][2], y[16][2];
static plane_model *model;

static void must(int done) {
  if (done)
    return;
  fprintf(stderr, "%s\n", plane_last_error());
  exit(1);
}

static void say(const char *what) {
  kiln_tensor input = {KILN_TENSOR_F32, 2, {16, 4}, x}, output = {KILN_TENSOR_F32, 2, {16, 2}, y};
  for (int times = 0; times < 3; ++times)
    must(plane_run(model, "forward", &input, 1, &output, 1));
  printf("%s", what);
  for (int i = 0; i < 4; ++i)
    printf(" %.4f", y[i][0]);
  printf("\n");
}

static void train(void) {
  kiln_tensor batch[2] = {{KILN_TENSOR_F32, 2, {16, 4}, x}, {KILN_TENSOR_F32, 2, {16, 2}, target}};
  double loss;
  for (int i = 0; i < 20; ++i)
    must(plane_train_step(model, batch, 2, &loss));
}

int main(void) {
  for (int i = 0; i < 64; ++i)
    x[i / 4][i % 4] = (float)(i * 7 % 11) / 11;
  for (int i = 0; i < 16; ++i)
    target[i][0] = x[i][0] + x[i][1], target[i][1] = 2 * x[i][2];
  model = plane_create(1, 0, 7);
  must(model != NULL);
  say("made");
  must(plane_save(model, "first.safetensors"));
  train();
  say("trained");
  must(plane_load(model, "first.safetensors"));
  say("loaded");
  train();
  say("trained again");
  must(plane_reset(model));
  say("reset");
  plane_destroy(model);
  model = plane_create(1, 0, 8);
  must(model != NULL);
  say("another");
  plane_destroy(model);
  return 0;
}
