// A state without a kind: every stage passes it on, and no program could start.
module attributes {kiln.states = [{name = "s", type = tensor<4xf32>}]} {
  func.func @forward(%x: tensor<4xf32> {kiln.input = "x"}) -> (tensor<4xf32> {kiln.output = "0"}) {
    return %x : tensor<4xf32>
  }
}
