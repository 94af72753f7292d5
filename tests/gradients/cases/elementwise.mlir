// Elementwise ops, one function each.
func.func @neg(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %0 = kiln.neg %x : tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}
func.func @abs(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %0 = kiln.abs %x : tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}
func.func @exp(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %0 = kiln.exp %x : tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}
func.func @expm1(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %0 = kiln.expm1 %x : tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}
func.func @log(%x: tensor<3x5xf32> {test.range = [0.5, 3.0]}) -> tensor<3x5xf32> {
  %0 = kiln.log %x : tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}
func.func @log1p(%x: tensor<3x5xf32> {test.range = [-0.3, 2.0]}) -> tensor<3x5xf32> {
  %0 = kiln.log1p %x : tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}
func.func @sqrt(%x: tensor<3x5xf32> {test.range = [0.5, 3.0]}) -> tensor<3x5xf32> {
  %0 = kiln.sqrt %x : tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}
func.func @rsqrt(%x: tensor<3x5xf32> {test.range = [0.5, 3.0]}) -> tensor<3x5xf32> {
  %0 = kiln.rsqrt %x : tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}
func.func @sin(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %0 = kiln.sin %x : tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}
func.func @cos(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %0 = kiln.cos %x : tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}
func.func @tanh(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %0 = kiln.tanh %x : tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}
func.func @sigmoid(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %0 = kiln.sigmoid %x : tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}
func.func @erf(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %0 = kiln.erf %x : tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}
func.func @sign(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %0 = kiln.sign %x : tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}
func.func @floor(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %0 = kiln.floor %x : tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}
func.func @ceil(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %0 = kiln.ceil %x : tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}
func.func @round(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %0 = kiln.round %x : tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}
func.func @relu(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %0 = kiln.relu %x : tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}
func.func @silu(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %0 = kiln.silu %x : tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}
func.func @softplus(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %0 = kiln.softplus %x : tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}
func.func @gelu(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %0 = kiln.gelu %x : tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}
func.func @gelu_tanh(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %0 = kiln.gelu %x {tanh = true} : tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}
func.func @add(%x: tensor<3x5xf32>, %y: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %0 = kiln.add %x, %y : tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}
func.func @sub(%x: tensor<3x5xf32>, %y: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %0 = kiln.sub %x, %y : tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}
func.func @mul(%x: tensor<3x5xf32>, %y: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %0 = kiln.mul %x, %y : tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}
func.func @div(%x: tensor<3x5xf32>, %y: tensor<3x5xf32> {test.range = [0.5, 2.0]}) -> tensor<3x5xf32> {
  %0 = kiln.div %x, %y : tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}
func.func @rem(%x: tensor<3x5xf32>, %y: tensor<3x5xf32> {test.range = [0.7, 1.3]}) -> tensor<3x5xf32> {
  %0 = kiln.rem %x, %y : tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}
func.func @pow(%x: tensor<3x5xf32> {test.range = [0.3, 2.0]}, %y: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %0 = kiln.pow %x, %y : tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}
func.func @max(%x: tensor<3x5xf32>, %y: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %0 = kiln.max %x, %y : tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}
func.func @min(%x: tensor<3x5xf32>, %y: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %0 = kiln.min %x, %y : tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}
func.func @pow_2_0(%x: tensor<7xf32> {test.range = [0.3, 2.0]}) -> tensor<7xf32> {
  %c = kiln.constant dense<2.0> : tensor<7xf32> : tensor<7xf32>
  %0 = kiln.pow %x, %c : tensor<7xf32>
  return %0 : tensor<7xf32>
}
func.func @pow_3_0(%x: tensor<7xf32> {test.range = [0.3, 2.0]}) -> tensor<7xf32> {
  %c = kiln.constant dense<3.0> : tensor<7xf32> : tensor<7xf32>
  %0 = kiln.pow %x, %c : tensor<7xf32>
  return %0 : tensor<7xf32>
}
func.func @pow_1_0(%x: tensor<7xf32> {test.range = [0.3, 2.0]}) -> tensor<7xf32> {
  %c = kiln.constant dense<1.0> : tensor<7xf32> : tensor<7xf32>
  %0 = kiln.pow %x, %c : tensor<7xf32>
  return %0 : tensor<7xf32>
}
func.func @pow_0_0(%x: tensor<7xf32> {test.range = [0.3, 2.0]}) -> tensor<7xf32> {
  %c = kiln.constant dense<0.0> : tensor<7xf32> : tensor<7xf32>
  %0 = kiln.pow %x, %c : tensor<7xf32>
  return %0 : tensor<7xf32>
}
func.func @pow_minus1_0(%x: tensor<7xf32> {test.range = [0.3, 2.0]}) -> tensor<7xf32> {
  %c = kiln.constant dense<-1.0> : tensor<7xf32> : tensor<7xf32>
  %0 = kiln.pow %x, %c : tensor<7xf32>
  return %0 : tensor<7xf32>
}
func.func @pow_0_5(%x: tensor<7xf32> {test.range = [0.3, 2.0]}) -> tensor<7xf32> {
  %c = kiln.constant dense<0.5> : tensor<7xf32> : tensor<7xf32>
  %0 = kiln.pow %x, %c : tensor<7xf32>
  return %0 : tensor<7xf32>
}
func.func @pow_2_5(%x: tensor<7xf32> {test.range = [0.3, 2.0]}) -> tensor<7xf32> {
  %c = kiln.constant dense<2.5> : tensor<7xf32> : tensor<7xf32>
  %0 = kiln.pow %x, %c : tensor<7xf32>
  return %0 : tensor<7xf32>
}
func.func @select(%c: tensor<3x5xi1>, %x: tensor<3x5xf32>, %y: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %0 = kiln.select %c, %x, %y : tensor<3x5xi1>, tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}
func.func @compared(%x: tensor<3x5xf32>, %y: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %0 = kiln.compare lt %x, %y : tensor<3x5xf32> -> tensor<3x5xi1>
  %1 = kiln.mul %x, %y : tensor<3x5xf32>
  %2 = kiln.select %0, %x, %1 : tensor<3x5xi1>, tensor<3x5xf32>
  return %2 : tensor<3x5xf32>
}
func.func @converted(%x: tensor<4xf32>) -> tensor<4xf64> {
  %0 = kiln.convert %x : tensor<4xf32> -> tensor<4xf64>
  return %0 : tensor<4xf64>
}
func.func @stopped(%x: tensor<4xf32>, %y: tensor<4xf32>) -> tensor<4xf32> {
  %0 = kiln.floor %x : tensor<4xf32>
  %1 = kiln.stop_gradient %0 : tensor<4xf32>
  %2 = kiln.mul %1, %y : tensor<4xf32>
  return %2 : tensor<4xf32>
}
func.func @several_uses(%x: tensor<4xf32>, %unused: tensor<2xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  %0 = kiln.mul %x, %x : tensor<4xf32>
  %1 = kiln.add %0, %x : tensor<4xf32>
  %2 = kiln.mul %0, %1 : tensor<4xf32>
  return %2, %0, %2 : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}
func.func @symbolic(%x: tensor<?x?xf32, #kiln.dims<"B", "T">>, %y: tensor<?xf32, #kiln.dims<"T">>) -> tensor<?xf32, #kiln.dims<"B">> {
  %0 = kiln.broadcast %y, [1] : tensor<?xf32, #kiln.dims<"T">> -> tensor<?x?xf32, #kiln.dims<"B", "T">>
  %1 = kiln.mul %x, %0 : tensor<?x?xf32, #kiln.dims<"B", "T">>
  %2 = kiln.exp %1 : tensor<?x?xf32, #kiln.dims<"B", "T">>
  %3 = kiln.reduce sum %2, [1] : tensor<?x?xf32, #kiln.dims<"B", "T">> -> tensor<?xf32, #kiln.dims<"B">>
  return %3 : tensor<?xf32, #kiln.dims<"B">>
}
