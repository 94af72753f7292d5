// Large enough for several tasks, several cache blocks and ragged edges.

func.func @matmul(%x: tensor<301x257xf32>, %w: tensor<257x190xf32>, %b: tensor<190xf32>) -> tensor<301x190xf32> {
  %p = kiln.dot_general %x, %w batch [] x [] contract [1] x [0] : tensor<301x257xf32>, tensor<257x190xf32> -> tensor<301x190xf32>
  %c = kiln.broadcast %b, [1] : tensor<190xf32> -> tensor<301x190xf32>
  %q = kiln.add %p, %c : tensor<301x190xf32>
  %r = kiln.gelu %q : tensor<301x190xf32>
  return %r : tensor<301x190xf32>
}

func.func @matmul_transposed(%x: tensor<123x301xf32>, %w: tensor<190x123xf32>) -> (tensor<301x190xf32>, tensor<190x301xf32>) {
  %p = kiln.dot_general %x, %w batch [] x [] contract [0] x [1] : tensor<123x301xf32>, tensor<190x123xf32> -> tensor<301x190xf32>
  %t = kiln.transpose %p, [1, 0] : tensor<301x190xf32> -> tensor<190x301xf32>
  return %p, %t : tensor<301x190xf32>, tensor<190x301xf32>
}

func.func @long_contraction(%x: tensor<7x5000xf32>, %w: tensor<5000x9xf32>) -> tensor<7x9xf32> {
  %p = kiln.dot_general %x, %w batch [] x [] contract [1] x [0] : tensor<7x5000xf32>, tensor<5000x9xf32> -> tensor<7x9xf32>
  return %p : tensor<7x9xf32>
}

func.func @vector_products(%x: tensor<1x700xf32>, %w: tensor<700x900xf32>, %v: tensor<900xf32>) -> (tensor<1x900xf32>, tensor<700xf32>, tensor<f32>) {
  %a = kiln.dot_general %x, %w batch [] x [] contract [1] x [0] : tensor<1x700xf32>, tensor<700x900xf32> -> tensor<1x900xf32>
  %b = kiln.dot_general %w, %v batch [] x [] contract [1] x [0] : tensor<700x900xf32>, tensor<900xf32> -> tensor<700xf32>
  %c = kiln.dot_general %v, %v batch [] x [] contract [0] x [0] : tensor<900xf32>, tensor<900xf32> -> tensor<f32>
  return %a, %b, %c : tensor<1x900xf32>, tensor<700xf32>, tensor<f32>
}

func.func @heads(%x: tensor<3x50x4x32xf32>, %y: tensor<3x50x4x32xf32>) -> tensor<3x50x128xf32> {
  %q = kiln.transpose %x, [0, 2, 1, 3] : tensor<3x50x4x32xf32> -> tensor<3x4x50x32xf32>
  %k = kiln.transpose %y, [0, 2, 1, 3] : tensor<3x50x4x32xf32> -> tensor<3x4x50x32xf32>
  %a = kiln.attention %q, %k, %k scale 0.17677669 {causal = true} : tensor<3x4x50x32xf32>, tensor<3x4x50x32xf32>, tensor<3x4x50x32xf32> -> tensor<3x4x50x32xf32>
  %t = kiln.transpose %a, [0, 2, 1, 3] : tensor<3x4x50x32xf32> -> tensor<3x50x4x32xf32>
  %r = kiln.reshape %t : tensor<3x50x4x32xf32> -> tensor<3x50x128xf32>
  return %r : tensor<3x50x128xf32>
}

func.func @norms(%x: tensor<500x300xf32>, %s: tensor<300xf32>, %b: tensor<300xf32>) -> (tensor<500x300xf32>, tensor<500x300xf32>) {
  %n = kiln.layer_norm %x scale %s bias %b epsilon 1.0e-5 : tensor<500x300xf32>, tensor<300xf32>, tensor<300xf32>
  %m = kiln.softmax %x, 1 : tensor<500x300xf32>
  return %n, %m : tensor<500x300xf32>, tensor<500x300xf32>
}

func.func @batch_statistics(%x: tensor<16x12x9x9xf32>) -> (tensor<12xf32>, tensor<12xf32>) {
  %s = kiln.reduce sum %x, [0, 2, 3] : tensor<16x12x9x9xf32> -> tensor<12xf32>
  %q = kiln.mul %x, %x : tensor<16x12x9x9xf32>
  %v = kiln.reduce sum %q, [0, 2, 3] : tensor<16x12x9x9xf32> -> tensor<12xf32>
  return %s, %v : tensor<12xf32>, tensor<12xf32>
}

func.func @column_sums(%x: tensor<2000x301xf32>) -> (tensor<301xf32>, tensor<301xf32>) {
  %s = kiln.reduce sum %x, [0] : tensor<2000x301xf32> -> tensor<301xf32>
  %m = kiln.reduce max %x, [0] : tensor<2000x301xf32> -> tensor<301xf32>
  return %s, %m : tensor<301xf32>, tensor<301xf32>
}

func.func @total(%x: tensor<300001xf32>) -> tensor<f32> {
  %q = kiln.mul %x, %x : tensor<300001xf32>
  %s = kiln.reduce sum %q, [0] : tensor<300001xf32> -> tensor<f32>
  %r = kiln.sqrt %s : tensor<f32>
  return %r : tensor<f32>
}

func.func @convolution(%x: tensor<8x16x21x19xf32>, %f: tensor<24x16x3x3xf32>, %b: tensor<24xf32>) -> tensor<8x24x21x19xf32> {
  %c = kiln.convolution %x, %f {strides = array<i64: 1, 1>, low = array<i64: 1, 1>, high = array<i64: 1, 1>, input_dilation = array<i64: 1, 1>, filter_dilation = array<i64: 1, 1>, groups = 1 : i64}
      : tensor<8x16x21x19xf32>, tensor<24x16x3x3xf32> -> tensor<8x24x21x19xf32>
  %d = kiln.broadcast %b, [1] : tensor<24xf32> -> tensor<8x24x21x19xf32>
  %e = kiln.add %c, %d : tensor<8x24x21x19xf32>
  %r = kiln.relu %e : tensor<8x24x21x19xf32>
  return %r : tensor<8x24x21x19xf32>
}

func.func @strided_convolution(%x: tensor<4x8x32x32xf32>, %f: tensor<40x8x5x5xf32>) -> tensor<4x40x16x16xf32> {
  %c = kiln.convolution %x, %f {strides = array<i64: 2, 2>, low = array<i64: 2, 2>, high = array<i64: 2, 2>, input_dilation = array<i64: 1, 1>, filter_dilation = array<i64: 1, 1>, groups = 1 : i64}
      : tensor<4x8x32x32xf32>, tensor<40x8x5x5xf32> -> tensor<4x40x16x16xf32>
  return %c : tensor<4x40x16x16xf32>
}

func.func @embedding_gradient(%table: tensor<100x48xf32>, %ids: tensor<2000xi32> {kiln.test_below = 100 : i64}, %g: tensor<2000x48xf32>) -> tensor<100x48xf32> {
  %s = kiln.scatter add %table, %ids, %g, 0 : tensor<100x48xf32>, tensor<2000xi32>, tensor<2000x48xf32>
  return %s : tensor<100x48xf32>
}

func.func @vocabulary_loss(%x: tensor<60x1000xf32>, %t: tensor<60xi32> {kiln.test_below = 1000 : i64}) -> tensor<60xf32> {
  %l = kiln.cross_entropy %x, %t : tensor<60x1000xf32>, tensor<60xi32> -> tensor<60xf32>
  return %l : tensor<60xf32>
}

func.func @moved(%x: tensor<60x70x30xf32>) -> (tensor<30x60x70xf32>, tensor<61x70x33xf32>, tensor<60x35x30xf32>) {
  %v = kiln.constant dense<2.0> : tensor<f32> : tensor<f32>
  %t = kiln.transpose %x, [2, 0, 1] : tensor<60x70x30xf32> -> tensor<30x60x70xf32>
  %p = kiln.pad %x, %v, <"1", "0", "2">, <"0", "0", "1">, [0, 0, 0] : tensor<60x70x30xf32>, tensor<f32> -> tensor<61x70x33xf32>
  %s = kiln.slice %x, <"0", "1", "0">, [1, 2, 1] : tensor<60x70x30xf32> -> tensor<60x35x30xf32>
  return %t, %p, %s : tensor<30x60x70xf32>, tensor<61x70x33xf32>, tensor<60x35x30xf32>
}

func.func @draws(%x: tensor<100x301xf32>, %s: tensor<ui32> {kiln.seed}, %step: tensor<i32> {kiln.step}) -> tensor<100x301xf32> {
  %r = kiln.dropout %x, %s, %step p 0.25 stream 7 : tensor<100x301xf32>, tensor<ui32>, tensor<i32>
  return %r : tensor<100x301xf32>
}

func.func @recurrence(%h0: tensor<20x64xf32>, %xs: tensor<17x20x64xf32>, %w: tensor<64x64xf32>) -> (tensor<20x64xf32>, tensor<17x20x64xf32>) {
  %last, %all = kiln.scan "17" step(%t) carry(%h = %h0 : tensor<20x64xf32>) over(%x = %xs : tensor<17x20x64xf32>) -> (tensor<17x20x64xf32>) {
    %p = kiln.dot_general %h, %w batch [] x [] contract [1] x [1] : tensor<20x64xf32>, tensor<64x64xf32> -> tensor<20x64xf32>
    %s = kiln.add %p, %x : tensor<20x64xf32>
    %k = kiln.constant dense<0.05> : tensor<20x64xf32> : tensor<20x64xf32>
    %m = kiln.mul %s, %k : tensor<20x64xf32>
    %n = kiln.tanh %m : tensor<20x64xf32>
    kiln.yield %n, %n : tensor<20x64xf32>, tensor<20x64xf32>
  }
  return %last, %all : tensor<20x64xf32>, tensor<17x20x64xf32>
}
