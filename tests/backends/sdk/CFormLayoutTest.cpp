#include "runtime/backend/Tables.h"
#include "tests/backends/sdk/CForm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <utility>

using namespace kiln::test;

namespace {

const Dim T{12, 0}; // bound 12, extent 0 of the kernel

Tensor numbers(const std::vector<int64_t> &shape, uint32_t seed = 1) {
  return randomTensor(KILN_F32, shape, -2, 2, seed);
}

TEST(CForm, Layout) {
  std::vector<Case> cases;
  auto add = [&](const char *what, std::vector<Tensor> inputs, auto build) {
    TestKernel kernel;
    build(kernel);
    kernel.bindExtents({7});
    cases.push_back({what, std::move(kernel), std::move(inputs), 1e-6});
  };
  add("transpose", {numbers({3, 7, 5})}, [](TestKernel &k) {
    uint32_t x = k.input(KILN_F32, {3, T, 5});
    k.output(k.op("transpose", {x}, KILN_F32, {5, 3, T}, {ints("permutation", {2, 0, 1})}));
  });
  add("broadcast", {numbers({1, 5}), numbers({7})}, [](TestKernel &k) {
    uint32_t x = k.input(KILN_F32, {1, 5}), y = k.input(KILN_F32, {T});
    uint32_t wide = k.op("broadcast", {x}, KILN_F32, {2, T, 5}, {ints("axes", {1, 2})});
    k.output(k.op("add", {wide, k.op("broadcast", {y}, KILN_F32, {2, T, 5}, {ints("axes", {1})})}));
  });
  add("slice", {numbers({9, 7})}, [](TestKernel &k) {
    uint32_t x = k.input(KILN_F32, {9, T});
    k.output(k.op("slice", {x}, KILN_F32, {3, 2}, {extents("starts", {2, 4}), ints("strides", {3, 2})}));
    k.output(k.op("reverse", {x}, KILN_F32, {9, T}, {ints("axes", {1})}));
  });
  add("pad", {numbers({3, 7})}, [](TestKernel &k) {
    uint32_t x = k.input(KILN_F32, {3, T}), v = k.constant(KILN_F32, -1.5);
    k.output(k.op("pad", {x, v}, KILN_F32, {10, T},
                  {extents("low", {1, 0}), extents("high", {2, 0}), ints("interior", {2, 0})}));
  });
  add("concat, negated", {numbers({2, 7}), numbers({3, 7}, 2), numbers({1, 7}, 3)}, [](TestKernel &k) {
    uint32_t a = k.input(KILN_F32, {2, T}), b = k.input(KILN_F32, {3, T}), c = k.input(KILN_F32, {1, T});
    uint32_t all = k.op("concat", {a, k.op("neg", {b}), c}, KILN_F32, {6, T}, {integer("axis", 0)});
    k.output(k.op("mul", {all, all}));
    k.output(all);
  });
  add("reshape", {numbers({7, 6})}, [](TestKernel &k) {
    uint32_t x = k.input(KILN_F32, {T, 6});
    uint32_t r = k.op("reshape", {k.op("exp", {x})}, KILN_F32, {T, 2, 3});
    k.output(k.op("transpose", {r}, KILN_F32, {3, T, 2}, {ints("permutation", {2, 0, 1})}));
  });
  add("iota, extent", {}, [](TestKernel &k) {
    uint32_t i = k.op("iota", {}, KILN_F32, {2, T}, {integer("axis", 1)});
    uint32_t n = k.op("extent", {}, KILN_F32, {}, {extents("expr", {T})});
    k.output(k.op("div", {i, k.op("broadcast", {n}, KILN_F32, {2, T}, {ints("axes", {})})}));
    k.output(k.op("iota", {}, KILN_I64, {5, T}, {integer("axis", 0)}));
  });
  add("table", {}, [](TestKernel &k) {
    uint32_t c = k.constant(numbers({2, 3}));
    k.output(k.op("broadcast", {c}, KILN_F32, {T, 2, 3}, {ints("axes", {1, 2})}));
  });
  Tensor start = Tensor::make(KILN_I32, {}), far = Tensor::make(KILN_I64, {});
  start.set(0, {0, 3}), far.set(0, {0, -5});
  add("dynamic_slice", {numbers({7, 5}), start, far}, [](TestKernel &k) {
    uint32_t x = k.input(KILN_F32, {T, 5}), i = k.input(KILN_I32, {}), j = k.input(KILN_I64, {});
    k.output(k.op("dynamic_slice", {x, i, j}, KILN_F32, {2, 3}));
  });
  add("dynamic_update_slice", {numbers({7, 5}), numbers({2, 5}, 4), start, far}, [](TestKernel &k) {
    uint32_t x = k.input(KILN_F32, {T, 5}), u = k.input(KILN_F32, {2, 5}), i = k.input(KILN_I32, {}),
             j = k.input(KILN_I64, {});
    k.output(k.op("dynamic_update_slice", {x, u, i, j}, KILN_F32, {T, 5}));
  });
  Tensor seed = Tensor::make(KILN_U32, {}), step = Tensor::make(KILN_I32, {});
  seed.set(0, {0, 1234567}), step.set(0, {0, 42});
  add("random_bits", {seed, step}, [](TestKernel &k) {
    uint32_t s = k.input(KILN_U32, {}), t = k.input(KILN_I32, {});
    k.output(k.op("random_bits", {s, t}, KILN_U32, {3, T}, {integer("stream", 7)}));
  });
  checkC(cases);
}

/// reduce(kind) of x over its last axis, and broadcast back.
uint32_t reduceRows(TestKernel &k, const char *kind, uint32_t x, const Dims &rows) {
  return k.op("reduce", {x}, KILN_F32, rows, {string("kind", kind), ints("axes", {static_cast<int64_t>(rows.size())})});
}

TEST(CForm, Reductions) {
  std::vector<Case> cases;
  auto add = [&](const std::string &what, std::vector<Tensor> inputs, double tolerance, auto build) {
    TestKernel kernel;
    build(kernel);
    kernel.bindExtents({7});
    cases.push_back({what, std::move(kernel), std::move(inputs), tolerance});
  };
  add("softmax", {numbers({7, 33})}, 1e-6, [](TestKernel &k) {
    uint32_t x = k.input(KILN_F32, {T, 33});
    auto spread = [&](uint32_t r) { return k.op("broadcast", {r}, KILN_F32, {T, 33}, {ints("axes", {0})}); };
    uint32_t e = k.op("exp", {k.op("sub", {x, spread(reduceRows(k, "max", x, {T}))})});
    k.output(k.op("div", {e, spread(reduceRows(k, "sum", e, {T}))}), 0);
  });
  add("an output in the memory of what another still needs", {numbers({7, 33})}, 1e-5, [](TestKernel &k) {
    uint32_t x = k.input(KILN_F32, {T, 33});
    uint32_t most = k.op("broadcast", {reduceRows(k, "max", x, {T})}, KILN_F32, {T, 33}, {ints("axes", {0})});
    k.output(k.op("sub", {x, most}), 0);
    k.output(k.op("neg", {reduceRows(k, "sum", k.op("exp", {x}), {T})}));
  });
  add("columns", {numbers({7, 9, 5})}, 1e-5, [](TestKernel &k) {
    uint32_t x = k.input(KILN_F32, {T, 9, 5}), y = k.op("mul", {x, x});
    k.output(k.op("reduce", {y}, KILN_F32, {5}, {string("kind", "sum"), ints("axes", {0, 1})}));
    uint32_t m = k.op("reduce", {x}, KILN_F32, {5}, {string("kind", "prod"), ints("axes", {0, 1})});
    k.output(k.op("sqrt", {k.op("abs", {m})}));
  });
  add("long sum", {randomTensor(KILN_F32, {100003}, 0, 1)}, 3e-7, [](TestKernel &k) {
    uint32_t x = k.input(KILN_F32, {100003});
    k.output(k.op("reduce", {x}, KILN_F32, {}, {string("kind", "sum"), ints("axes", {0})}));
  });
  for (const char *kind : {"sum", "prod", "max", "min"})
    for (kiln_dtype dtype : {KILN_F64, KILN_F16, KILN_I8, KILN_U8, KILN_I32, KILN_U32, KILN_I64})
      add(std::string(kind) + " " + kiln::sdk::dtypeName(dtype), {randomTensor(dtype, {3, 7}, -3, 3)}, 2e-3,
          [&](TestKernel &k) {
            uint32_t x = k.input(dtype, {3, T});
            k.output(k.op("reduce", {x}, dtype, {3}, {string("kind", kind), ints("axes", {1})}));
          });
  for (const char *kind : {"any", "all"})
    add(kind, {randomTensor(KILN_BOOL, {30, 4}, 0, 2)}, 0, [&](TestKernel &k) {
      uint32_t x = k.input(KILN_BOOL, {30, 4});
      k.output(k.op("reduce", {x}, KILN_BOOL, {30}, {string("kind", kind), ints("axes", {1})}));
    });
  Tensor holes = numbers({4, 7, 3});
  holes.set(10, {std::nan(""), 0});
  for (const char *kind : {"max", "min"})
    add(std::string("arg ") + kind, {holes}, 0, [&](TestKernel &k) {
      uint32_t x = k.input(KILN_F32, {4, T, 3});
      k.output(k.op("arg_reduce", {x}, KILN_I32, {4, 3}, {string("kind", kind), integer("axis", 1)}));
      k.output(k.op("reduce", {x}, KILN_F32, {4, 3}, {string("kind", kind), ints("axes", {1})}));
    });
  for (int64_t reverse : {0, 1})
    for (int64_t exclusive : {0, 1})
      add("cumsum", {numbers({4, 7, 3})}, 1e-6, [&](TestKernel &k) {
        uint32_t x = k.input(KILN_F32, {4, T, 3});
        k.output(k.op("cumsum", {x}, KILN_F32, {4, T, 3},
                      {integer("axis", 1), integer("reverse", reverse), integer("exclusive", exclusive)}));
      });
  add("of no elements", {Tensor::make(KILN_F32, {3, 0})}, 0, [&](TestKernel &k) {
    uint32_t x = k.input(KILN_F32, {3, 0});
    for (const char *kind : {"sum", "prod", "max", "min"})
      k.output(k.op("reduce", {x}, KILN_F32, {3}, {string("kind", kind), ints("axes", {1})}));
  });
  checkC(cases);
}

TEST(CForm, Products) {
  std::vector<Case> cases;
  auto add = [&](const std::string &what, std::vector<Tensor> inputs, double tolerance, auto build) {
    TestKernel kernel;
    build(kernel);
    kernel.bindExtents({7});
    cases.push_back({what, std::move(kernel), std::move(inputs), tolerance});
  };
  auto contract = [](std::vector<int64_t> lb, std::vector<int64_t> rb, std::vector<int64_t> lc,
                     std::vector<int64_t> rc) {
    return std::vector<Attr>{ints("lhs_batch", std::move(lb)), ints("rhs_batch", std::move(rb)),
                             ints("lhs_contract", std::move(lc)), ints("rhs_contract", std::move(rc))};
  };
  add("matmul, bias, relu", {numbers({7, 5}), numbers({5, 4}), numbers({4})}, 1e-5, [&](TestKernel &k) {
    uint32_t x = k.input(KILN_F32, {T, 5}), w = k.input(KILN_F32, {5, 4}), b = k.input(KILN_F32, {4});
    uint32_t y = k.op("dot_general", {x, w}, KILN_F32, {T, 4}, contract({}, {}, {1}, {0}));
    y = k.op("add", {y, k.op("broadcast", {b}, KILN_F32, {T, 4}, {ints("axes", {1})})});
    k.output(k.op("max", {y, k.constant(KILN_F32, 0, {T, 4})}));
    k.output(y);
  });
  add("batches", {numbers({2, 7, 3, 5}), numbers({3, 2, 4, 5})}, 1e-5, [&](TestKernel &k) {
    uint32_t q = k.input(KILN_F32, {2, T, 3, 5}), key = k.input(KILN_F32, {3, 2, 4, 5});
    k.output(k.op("dot_general", {q, key}, KILN_F32, {2, 3, T, 4}, contract({0, 2}, {1, 0}, {3}, {3})));
  });
  add("bf16 to f32", {randomTensor(KILN_BF16, {4, 5}, -2, 2), randomTensor(KILN_BF16, {5, 3}, -2, 2)}, 1e-5,
      [&](TestKernel &k) {
        uint32_t a = k.input(KILN_BF16, {4, 5}), b = k.input(KILN_BF16, {5, 3});
        k.output(k.op("dot_general", {a, b}, KILN_F32, {4, 3}, contract({}, {}, {1}, {0})));
      });
  add("i8 to i32", {randomTensor(KILN_I8, {4, 500}, -128, 127), randomTensor(KILN_I8, {500, 3}, -128, 127, 2)}, 0,
      [&](TestKernel &k) {
        uint32_t a = k.input(KILN_I8, {4, 500}), b = k.input(KILN_I8, {500, 3});
        k.output(k.op("dot_general", {a, b}, KILN_I32, {4, 3}, contract({}, {}, {1}, {0})));
      });
  for (const char *kind : {"sum", "max", "min"}) {
    std::vector<Attr> attrs{string("kind", kind), ints("window", {1, 3, 2}), ints("strides", {1, 2, 1}),
                            ints("low", {0, 1, 0}), ints("high", {0, 1, 0})};
    add(std::string("window ") + kind, {numbers({2, 7, 6})}, 1e-6, [&](TestKernel &k) {
      uint32_t x = k.input(KILN_F32, {2, 7, 6});
      k.output(k.op("reduce_window", {x}, KILN_F32, {2, 4, 5}, attrs));
    });
    if (std::string(kind) != "sum")
      add(std::string("window gradient ") + kind, {numbers({2, 7, 6}), numbers({2, 4, 5}, 9)}, 1e-5,
          [&](TestKernel &k) {
            uint32_t x = k.input(KILN_F32, {2, 7, 6}), g = k.input(KILN_F32, {2, 4, 5});
            k.output(k.op("reduce_window_grad", {x, g}, KILN_F32, {2, 7, 6}, attrs));
          });
  }
  checkC(cases);
}

struct ConvolutionCase {
  std::vector<int64_t> in, filter, out, strides, low, high, dilation, filterDilation;
  int64_t groups;
};

TEST(CForm, Convolution) {
  std::vector<Case> cases;
  for (const ConvolutionCase &c : std::vector<ConvolutionCase>{
           {{7, 4, 9, 8}, {6, 2, 3, 3}, {7, 6, 5, 6}, {2, 1}, {1, 1}, {1, 1}, {1, 1}, {1, 2}, 2},
           {{7, 3, 6, 5}, {2, 3, 3, 2}, {7, 2, 4, 4}, {1, 1}, {0, 0}, {0, 0}, {1, 1}, {1, 1}, 1},
           {{7, 2, 5}, {3, 2, 4}, {7, 3, 10}, {1}, {2}, {2}, {2}, {1}, 1},
           {{7, 2, 9}, {4, 1, 3}, {7, 4, 6}, {1}, {-1}, {0}, {1}, {1}, 2}}) {
    TestKernel k;
    Dims in(c.in.begin(), c.in.end()), out(c.out.begin(), c.out.end());
    in[0] = out[0] = T;
    uint32_t x = k.input(KILN_F32, in), f = k.input(KILN_F32, Dims(c.filter.begin(), c.filter.end()));
    k.output(
        k.op("convolution", {x, f}, KILN_F32, out,
             {ints("strides", c.strides), ints("low", c.low), ints("high", c.high), ints("input_dilation", c.dilation),
              ints("filter_dilation", c.filterDilation), integer("groups", c.groups)}));
    k.bindExtents({7});
    cases.push_back({"convolution", std::move(k), {numbers(c.in), numbers(c.filter, 2)}, 1e-5});
  }
  checkC(cases);
}

Tensor indices(std::vector<int64_t> shape, std::vector<int64_t> values) {
  Tensor t = Tensor::make(KILN_I32, std::move(shape));
  for (size_t i = 0; i < values.size(); ++i)
    t.set(static_cast<int64_t>(i), {0, values[i]});
  return t;
}

TEST(CForm, Indexed) {
  std::vector<Case> cases;
  auto add = [&](const std::string &what, std::vector<Tensor> inputs, auto build) {
    TestKernel kernel;
    build(kernel);
    kernel.bindExtents({7});
    cases.push_back({what, std::move(kernel), std::move(inputs), 1e-5});
  };
  add("gather", {numbers({7, 5}), indices({2, 3}, {0, 6, 2, 3, 3, 1})}, [](TestKernel &k) {
    uint32_t x = k.input(KILN_F32, {T, 5}), i = k.input(KILN_I32, {2, 3});
    k.output(k.op("gather", {x, i}, KILN_F32, {2, 3, 5}, {integer("axis", 0), integer("batch_dims", 0)}));
  });
  add("pick", {numbers({7, 5}), indices({7}, {0, 4, 2, 3, 3, 1, 0})}, [](TestKernel &k) {
    uint32_t x = k.input(KILN_F32, {T, 5}), i = k.input(KILN_I32, {T});
    k.output(k.op("gather", {x, i}, KILN_F32, {T}, {integer("axis", 1), integer("batch_dims", 1)}));
  });
  for (const char *kind : {"set", "add", "mul", "max", "min"})
    add(std::string("scatter ") + kind, {numbers({5, 7, 3}), indices({4}, {1, 0, 1, 1}), numbers({5, 4, 3}, 3)},
        [&](TestKernel &k) {
          uint32_t x = k.input(KILN_F32, {5, T, 3}), i = k.input(KILN_I32, {4}), u = k.input(KILN_F32, {5, 4, 3});
          k.output(k.op("scatter", {x, i, u}, KILN_F32, {5, T, 3},
                        {string("kind", kind), integer("axis", 1), integer("batch_dims", 0)}));
        });
  add("scatter of one index", {indices({3}, {2, 2, 2})}, [](TestKernel &k) {
    uint32_t i = k.input(KILN_I32, {3}), zero = k.constant(KILN_F32, 0, {4}), one = k.constant(KILN_F32, 1, {3});
    k.output(k.op("scatter", {zero, i, one}, KILN_F32, {4},
                  {string("kind", "add"), integer("axis", 0), integer("batch_dims", 0)}));
  });
  for (int64_t descending : {0, 1}) {
    Tensor x = randomTensor(KILN_F32, {2, 7, 3}, -3, 3);
    for (int64_t i = 0; i < x.count(); ++i)
      x.set(i, {i == 9 ? std::nan("") : std::round(x.get(i).real), 0});
    add("sort", {x}, [&](TestKernel &k) {
      uint32_t in = k.input(KILN_F32, {2, T, 3});
      auto [v, i] =
          k.op2("sort", in, KILN_F32, KILN_I32, {2, T, 3}, {integer("axis", 1), integer("descending", descending)});
      k.output(v);
      k.output(i);
    });
  }
  add("top_k", {randomTensor(KILN_I32, {4, 9}, -3, 3)}, [&](TestKernel &k) {
    uint32_t in = k.input(KILN_I32, {4, 9});
    auto [v, i] = k.op2("top_k", in, KILN_I32, KILN_I64, {4, 3}, {integer("k", 3)});
    k.output(v);
    k.output(i);
  });
  checkC(cases);
}

TEST(CForm, StatusIsRecorded) {
  struct Fault {
    const char *what;
    kiln_status_kind kind;
    int64_t value, limit;
  };
  for (const Fault &fault :
       {Fault{"gather", KILN_INDEX_OUT_OF_RANGE, 9, 5}, Fault{"scatter", KILN_INDEX_OUT_OF_RANGE, 9, 5},
        Fault{"div", KILN_DIVISION_BY_ZERO, 3, 0}}) {
    TestKernel kernel;
    std::vector<Tensor> inputs;
    std::string op = fault.what;
    if (op == "div") {
      uint32_t x = kernel.input(KILN_I32, {3}), y = kernel.input(KILN_I32, {3});
      kernel.output(kernel.op(op, {x, y}));
      inputs = {indices({3}, {1, 3, 5}), indices({3}, {1, 0, 2})};
    } else {
      uint32_t x = kernel.input(KILN_F32, {5}), i = kernel.input(KILN_I32, {3});
      std::vector<Attr> attrs{integer("axis", 0), integer("batch_dims", 0)};
      if (op == "scatter")
        attrs.push_back(string("kind", "set"));
      if (op == "gather")
        kernel.output(kernel.op(op, {x, i}, KILN_F32, {3}, attrs));
      else
        kernel.output(kernel.op(op, {x, i, kernel.constant(KILN_F32, 1, {3})}, KILN_F32, {5}, attrs));
      inputs = {numbers({5}), indices({3}, {1, 9, 0})};
    }
    kiln_status status = statusOf(kernel, inputs);
    EXPECT_EQ(status.kind, fault.kind) << op;
    EXPECT_EQ(status.value, fault.value) << op;
    EXPECT_EQ(status.limit, fault.limit) << op;
  }
}

TEST(Graph, RefusesWhatIsNotWellFormed) {
  auto error = [](TestKernel &kernel) {
    kiln::sdk::Graph graph;
    std::string message;
    EXPECT_FALSE(kiln::sdk::Graph::read(*kiln::tableReader(), &kernel.get(), graph, message));
    return message;
  };
  TestKernel a;
  a.output(a.op("reduce", {a.input(KILN_F32, {2})}, KILN_F32, {}, {string("kind", "sum")}));
  EXPECT_EQ(error(a), "op 'reduce' (conformance:1:1) lacks its attribute 'axes'");
  TestKernel b;
  b.output(b.op("add", {b.input(KILN_F32, {2})}, KILN_F32, {2}));
  EXPECT_EQ(error(b), "op 'add' (conformance:1:1) has 1 operands and 1 results, which is not what it takes");
  TestKernel c;
  c.output(c.op("cumsum", {c.input(KILN_F32, {2})}, KILN_F32, {2}, {integer("axis", 4)}));
  EXPECT_EQ(error(c), "op 'cumsum' (conformance:1:1) has attributes or operands that do not fit its types");
  TestKernel d;
  d.output(d.op("reverse", {d.input(KILN_F32, {2})}, KILN_F32, {2}, {ints("axes", {-1})}));
  EXPECT_EQ(error(d), "op 'reverse' (conformance:1:1) has attributes or operands that do not fit its types");
}

/// The bodies of a kernel's phases as C.
std::string bodyOf(TestKernel &k) {
  kiln::sdk::Graph graph;
  kiln::sdk::Phases phases;
  std::string error, text;
  uint32_t op = 0;
  EXPECT_TRUE(kiln::sdk::Graph::read(*kiln::tableReader(), &k.get(), graph, error)) << error;
  EXPECT_TRUE(kiln::sdk::Phases::plan(graph, phases, error, op)) << error;
  for (const kiln::sdk::Phase &phase : phases.phases) {
    kiln::sdk::Surroundings around;
    kiln::sdk::Emitter e(graph, around, {});
    phases.print(e, phase, kiln::sdk::Emitter::outer("item"));
    text += e.take();
  }
  return text;
}

TEST(Text, SaysNothingTwice) {
  TestKernel k;
  uint32_t x = k.input(KILN_F32, {8, 5}), a = k.op("exp", {x}), b = k.op("exp", {x});
  k.output(k.op("add", {k.op("mul", {a, b}), a}));
  EXPECT_EQ(bodyOf(k), "  const float v0 = p0[item];\n"
                       "  const float v1 = kiln_exp_f32(v0);\n"
                       "  const float v2 = (v1 * v1);\n"
                       "  const float v3 = (v2 + v1);\n"
                       "  p1[item] = v3;\n");
}

TEST(Text, WhatALoopDoesNotChangeStandsBeforeIt) {
  TestKernel k;
  uint32_t x = k.input(KILN_F32, {4, 5}), b = k.input(KILN_F32, {4});
  uint32_t wide = k.op("broadcast", {k.op("neg", {b})}, KILN_F32, {4, 5}, {ints("axes", {0})});
  k.output(k.op("reduce", {k.op("mul", {x, wide})}, KILN_F32, {4}, {string("kind", "sum"), ints("axes", {1})}));
  std::string text = bodyOf(k);
  EXPECT_LT(text.find("p1[item]"), text.find("for (")) << text;
  EXPECT_GT(text.find("p0["), text.find("for (")) << text;
}

} // namespace
