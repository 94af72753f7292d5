// Attention that is written out becomes the op where it is attention, and only there; the numbers stay.
#include "ir/Recover.h"
#include "tests/ir/Run.h"

#include "mlir/IR/Verifier.h"

#include <cmath>

namespace kiln {
namespace {

/// The pieces of a function over [2, 3, 5, 4] (or [2, 5, 4] without heads) that writes attention out.
struct Written {
  bool heads = true;
  /// Of the index along the queries, and along the keys.
  std::string predicate = "le", left = "key", right = "query";
  int more = 0; // is added to the right one
  bool masked = true, keptWhereTrue = true;
  std::string fill = "0xFFF0000000000000";
  std::string scaling = "mul"; // or div, or none
  std::string factor = "0.5";
  std::string cap;         // of scores, where they have one: cap tanh(score / cap), or cap tanh(score)
  bool capsHidden = false; // what is hidden too
  bool turned = false;     // keys come as [D, S]
  bool sharesRead = false, scoresRead = false;
  bool drops = false, dropsRead = false; // dropout on the shares
  int axis = -1;                         // of the softmax
};

std::string textOf(const Written &w) {
  std::string lead = w.heads ? "2x3x" : "2x", rows = "tensor<" + lead + "5x4xf64>",
              plane = "tensor<" + lead + "5x5xf64>", bools = "tensor<" + lead + "5x5xi1>",
              keys = w.turned ? "tensor<" + lead + "4x5xf64>" : rows;
  std::string batch = w.heads ? "batch [0, 1] x [0, 1] " : "batch [0] x [0] ", last = w.heads ? "3" : "2",
              before = w.heads ? "2" : "1";
  std::string results = rows + (w.sharesRead || w.scoresRead || w.dropsRead ? ", " + plane : "");
  std::string text = "func.func @f(%q: " + rows + ", %k: " + keys + ", %v: " + rows + ") -> (" + results + ") {\n";
  text += "%s0 = kiln.dot_general %q, %k " + batch + "contract [" + last + "] x [" + (w.turned ? before : last) +
          "] : " + rows + ", " + keys + " -> " + plane + "\n";
  std::string scores = "%s0";
  if (w.scaling != "none") {
    text += "%c = kiln.constant dense<" + w.factor +
            "> : tensor<f64> : tensor<f64>\n%cb = kiln.broadcast %c, [] : tensor<f64> -> " + plane + "\n%s1 = kiln." +
            w.scaling + " %s0, %cb : " + plane + "\n";
    scores = "%s1";
  }
  auto cap = [&] {
    text += "%cap = kiln.constant dense<" + w.cap + "> : " + plane + " : " + plane + "\n%bent = kiln.tanh " + scores +
            " : " + plane + "\n%s3 = kiln.mul %bent, %cap : " + plane + "\n";
    scores = "%s3";
  };
  if (!w.cap.empty() && !w.capsHidden)
    cap();
  if (w.masked) {
    text += "%i = kiln.iota 0 : tensor<5xi32>\n"
            "%r = kiln.reshape %i : tensor<5xi32> -> tensor<1x5xi32>\n"
            "%key = kiln.broadcast %r, [0, 1] : tensor<1x5xi32> -> tensor<5x5xi32>\n"
            "%query = kiln.broadcast %i, [0] : tensor<5xi32> -> tensor<5x5xi32>\n"
            "%m = kiln.constant dense<" +
            std::to_string(w.more) +
            "> : tensor<5x5xi32> : tensor<5x5xi32>\n"
            "%moved = kiln.add %" +
            w.right +
            ", %m : tensor<5x5xi32>\n"
            "%b = kiln.compare " +
            w.predicate + " %" + w.left +
            ", %moved : tensor<5x5xi32> -> tensor<5x5xi1>\n"
            "%mask = kiln.broadcast %b, [" +
            before + ", " + last + "] : tensor<5x5xi1> -> " + bools +
            "\n"
            "%f = kiln.constant dense<" +
            w.fill +
            "> : tensor<f64> : tensor<f64>\n"
            "%fb = kiln.broadcast %f, [] : tensor<f64> -> " +
            plane +
            "\n"
            "%s2 = kiln.select %mask, " +
            (w.keptWhereTrue ? scores + ", %fb" : "%fb, " + scores) + " : " + bools + ", " + plane + "\n";
    scores = "%s2";
  }
  if (!w.cap.empty() && w.capsHidden)
    cap();
  text += "%w = kiln.softmax " + scores + ", " + std::to_string(w.axis < 0 ? std::stoi(last) : w.axis) + " : " + plane +
          "\n";
  if (w.drops)
    text += "%seed = kiln.constant dense<5> : tensor<ui32> : tensor<ui32>\n"
            "%step = kiln.constant dense<3> : tensor<i32> : tensor<i32>\n"
            "%d = kiln.dropout %w, %seed, %step p 0.3 stream 9 : " +
            plane + ", tensor<ui32>, tensor<i32>\n";
  text += std::string("%o = kiln.dot_general ") + (w.drops ? "%d" : "%w") + ", %v " + batch + "contract [" + last +
          "] x [" + before + "] : " + plane + ", " + rows + " -> " + rows + "\n";
  std::string more = w.sharesRead ? ", %w" : w.scoresRead ? ", " + scores : w.dropsRead ? ", %d" : "";
  return text + "return %o" + more + " : " + results + "\n}\n";
}

/// Whether it is found; its numbers before and after are the same.
bool isFound(const std::string &text, bool training = false) {
  mlir::OwningOpRef<mlir::ModuleOp> module = testing::parse(text);
  if (!module) {
    ADD_FAILURE() << text;
    return false;
  }
  mlir::func::FuncOp function = testing::functionIn(*module);
  std::vector<HostTensor> inputs;
  unsigned seed = 7;
  for (mlir::Type type : function.getArgumentTypes()) {
    HostTensor tensor =
        HostTensor::zeros(testing::elementNamed("f64"), llvm::cast<mlir::RankedTensorType>(type).getShape().vec());
    for (double &value : tensor.floats) {
      seed = seed * 1664525 + 1013904223;
      value = (seed >> 8) * 0x1p-22 - 2.0;
    }
    inputs.push_back(tensor);
  }
  auto before = interpret(function, inputs);
  recoverAttention(function.getBody().front(), training);
  EXPECT_TRUE(succeeded(mlir::verify(*module))) << text;
  auto after = interpret(function, inputs);
  EXPECT_TRUE(before.ok() && after.ok());
  if (!before.ok() || !after.ok())
    return false;
  for (size_t r = 0; r < before->results.size(); ++r)
    for (size_t i = 0; i < before->results[r].floats.size(); ++i) {
      double was = before->results[r].floats[i], is = after->results[r].floats[i];
      EXPECT_TRUE(was == is || std::abs(was - is) < 1e-14 || (std::isnan(was) && std::isnan(is)))
          << text << i << ": " << was << ", " << is;
    }
  bool found = false, scores = false;
  function.walk([&](AttentionOp) { found = true; });
  function.walk([&](BiasedAttentionOp) { found = true; });
  function.walk([&](DropoutAttentionOp) { found = true; });
  function.walk([&](CappedAttentionOp) { found = true; });
  function.walk([&](SoftmaxOp) { scores = true; });
  EXPECT_NE(found, scores); // one or the other
  return found;
}

bool isFound(const Written &written) { return isFound(textOf(written), written.drops); }

/// As PyTorch's exporters write scaled_dot_product_attention: half of the scale on each side, a mask that is added,
/// shares that are no numbers made 0. The first query sees no key. `guard`: what the softmax is compared with.
std::string exported(const std::string &fill, const std::string &guard, bool added) {
  std::string rows = "tensor<2x3x5x4xf64>", plane = "tensor<2x3x5x5xf64>", few = "tensor<2x1x5x5xf64>",
              seen = "tensor<2x1x5x5xi1>", bools = "tensor<2x3x5x5xi1>";
  std::string text = "func.func @f(%q: " + rows + ", %k: " + rows + ", %v: " + rows + ") -> " + rows + " {\n";
  text += "%i = kiln.iota 2 : tensor<2x1x5x5xi32>\n%j = kiln.iota 3 : tensor<2x1x5x5xi32>\n"
          "%one = kiln.constant dense<1> : tensor<2x1x5x5xi32> : tensor<2x1x5x5xi32>\n%p = kiln.mul %i, %j : "
          "tensor<2x1x5x5xi32>\n%m = kiln.compare ge %p, %one : tensor<2x1x5x5xi32> -> " +
          seen + "\n";
  text += "%h = kiln.constant dense<0.5> : " + rows + " : " + rows + "\n%qh = kiln.mul %q, %h : " + rows +
          "\n%kh = kiln.mul %k, %h : " + rows + "\n";
  text += "%s = kiln.dot_general %qh, %kh batch [0, 1] x [0, 1] contract [3] x [3] : " + rows + ", " + rows + " -> " +
          plane + "\n%zero = kiln.constant dense<0.0> : tensor<f64> : tensor<f64>\n%none = kiln.constant dense<" +
          fill + "> : tensor<f64> : tensor<f64>\n";
  if (added)
    text += "%z1 = kiln.broadcast %zero, [] : tensor<f64> -> " + few +
            "\n%n1 = kiln.broadcast %none, [] : " + "tensor<f64> -> " + few +
            "\n%bias = kiln.select %m, %z1, %n1 : " + seen + ", " + few +
            "\n%wide = kiln.broadcast %bias, [0, 1, 2, 3] : " + few + " -> " + plane +
            "\n%t = kiln.add %s, %wide : " + plane + "\n";
  else
    text += "%wide = kiln.broadcast %m, [0, 1, 2, 3] : " + seen + " -> " + bools +
            "\n%n1 = kiln.broadcast %none, [] : " + "tensor<f64> -> " + plane +
            "\n%t = kiln.select %wide, %s, %n1 : " + bools + ", " + plane + "\n";
  text += "%w = kiln.softmax %t, 3 : " + plane + "\n%bad = kiln.compare " + guard + " : " + plane + " -> " + bools +
          "\n%z = kiln.broadcast %zero, [] : tensor<f64> -> " + plane + "\n%g = kiln.select %bad, %z, %w : " + bools +
          ", " + plane + "\n";
  return text + "%o = kiln.dot_general %g, %v batch [0, 1] x [0, 1] contract [3] x [2] : " + plane + ", " + rows +
         " -> " + rows + "\nreturn %o : " + rows + "\n}\n";
}

TEST(Recover, AMaskThatIsGuarded) {
  for (bool added : {true, false}) {
    std::string none = "0xFFF0000000000000";
    EXPECT_TRUE(isFound(exported(none, "ne %w, %w", added)));
    EXPECT_TRUE(isFound(exported("-1.0e30", "ne %w, %w", added))); // the shares of who sees nothing are equal ones
    EXPECT_EQ(isFound(exported("-1.0e9", "ne %w, %w", added)), !added);
    EXPECT_FALSE(isFound(exported("-1.0e4", "ne %w, %w", added)));
    EXPECT_FALSE(isFound(exported(none, "eq %w, %w", added)));
    EXPECT_FALSE(isFound(exported(none, "ne %w, %t", added)));
  }
}

/// masked_softmax(scores + bias) v, as the standard modules write it: the bias is [1, 3, 5, 5] or [1, 3, 1, 1]; the
/// third query's is -inf throughout. `fill` is what a row without keys gets.
struct Biased {
  std::string bias = "tensor<1x3x5x5xf64>", fill = "0.0";
  bool beforeScale = false, read = false;
};

std::string textOf(const Biased &b) {
  std::string rows = "tensor<2x3x5x4xf64>", plane = "tensor<2x3x5x5xf64>", one = "tensor<2x3x5x1xf64>",
              bools = "tensor<2x3x5x5xi1>", query = "tensor<5xi32>", seen = "tensor<5xi1>",
              column = "tensor<2x3x5x1xi1>";
  std::string text = "func.func @f(%q: " + rows + ", %k: " + rows + ", %v: " + rows + ", %b: " + b.bias + ") -> (" +
                     rows + (b.read ? ", " + plane : "") + ") {\n";
  text += "%p = kiln.dot_general %q, %k batch [0, 1] x [0, 1] contract [3] x [3] : " + rows + ", " + rows + " -> " +
          plane + "\n%c = kiln.constant dense<0.5> : " + plane + " : " + plane +
          "\n%none = kiln.constant dense<0xFFF0000000000000> : " + plane + " : " + plane +
          "\n%none1 = kiln.constant dense<0xFFF0000000000000> : " + one + " : " + one +
          "\n%fill = kiln.constant dense<" + b.fill + "> : " + plane + " : " + plane +
          "\n%zero = kiln.constant dense<0.0> : " + plane + " : " + plane +
          "\n%wide = kiln.broadcast %b, [0, 1, 2, 3] : " + b.bias + " -> " + plane + "\n";
  text += b.beforeScale ? "%a = kiln.add %p, %wide : " + plane + "\n%s = kiln.mul %a, %c : " + plane + "\n"
                        : "%a = kiln.mul %p, %c : " + plane + "\n%s = kiln.add %a, %wide : " + plane + "\n";
  text += "%i = kiln.iota 0 : " + query + "\n%two = kiln.constant dense<2> : " + query + " : " + query +
          "\n%ne = kiln.compare ne %i, %two : " + query + " -> " + seen + "\n%m = kiln.broadcast %ne, [2] : " + seen +
          " -> " + bools + "\n%t = kiln.select %m, %s, %none : " + bools + ", " + plane + "\n";
  text += "%x = kiln.reduce max %t, [3] : " + plane +
          " -> tensor<2x3x5xf64>\n%y = kiln.reshape %x : tensor<2x3x5xf64> "
          "-> " +
          one + "\n%e = kiln.compare eq %y, %none1 : " + one + " -> " + column +
          "\n%ew = kiln.broadcast %e, [0, 1, 2, 3] : " + column + " -> " + bools +
          "\n%u = kiln.select %ew, %zero, %t : " + bools + ", " + plane + "\n%w = kiln.softmax %u, 3 : " + plane +
          "\n%g = kiln.select %ew, %fill, %w : " + bools + ", " + plane +
          "\n%o = kiln.dot_general %g, %v batch [0, 1] x [0, 1] contract [3] x [2] : " + plane + ", " + rows + " -> " +
          rows + "\n";
  return text + "return %o" + (b.read ? ", %t : " : " : ") + rows + (b.read ? ", " + plane : "") + "\n}\n";
}

TEST(Recover, NumbersAddedToTheScores) {
  EXPECT_TRUE(isFound(textOf(Biased()), true));
  EXPECT_FALSE(isFound(textOf(Biased())));
  EXPECT_TRUE(isFound(textOf(Biased{"tensor<2x1x1x5xf64>"}), true));
  EXPECT_FALSE(isFound(textOf(Biased{"tensor<1x3x1x1xf64>"}), true)); // no row of keys
  EXPECT_FALSE(isFound(textOf(Biased{"tensor<1x3x5x5xf64>", "1.0"}), true));
  EXPECT_FALSE(isFound(textOf(Biased{"tensor<1x3x5x5xf64>", "0.0", true}), true));
  EXPECT_FALSE(isFound(textOf(Biased{"tensor<1x3x5x5xf64>", "0.0", false, true}), true));
}

/// A bias as files have it that is added without a guard. The first query sees no key.
std::string withBias(const std::string &bias) {
  std::string rows = "tensor<2x3x5x4xf64>", plane = "tensor<2x3x5x5xf64>", few = "tensor<2x1x5x5xf64>",
              seen = "tensor<2x1x5x5xi1>", whole = "tensor<2x1x5x5xi32>";
  auto spread = [&](const char *name, const char *number) {
    return std::string("%") + name + "0 = kiln.constant dense<" + number + "> : tensor<f64> : tensor<f64>\n%" + name +
           " = kiln.broadcast %" + name + "0, [] : tensor<f64> -> " + few + "\n";
  };
  return "func.func @f(%q: " + rows + ", %k: " + rows + ", %v: " + rows + ") -> " + rows +
         " {\n%i = kiln.iota 2 : " + whole + "\n%j = kiln.iota 3 : " + whole + "\n%p = kiln.mul %i, %j : " + whole +
         "\n%c = kiln.constant dense<1> : " + whole + " : " + whole + "\n%m = kiln.compare ge %p, %c : " + whole +
         " -> " + seen + "\n" + spread("zero", "0.0") + spread("one", "1.0") + spread("low", "-3.0e38") +
         spread("high", "3.0e38") + "%x = kiln.convert %m : " + seen + " -> " + few +
         "\n%y = kiln.sub %one, %x : " + few + "\n%t = kiln.convert %y : " + few + " -> " + seen +
         "\n%n = kiln.compare ne %y, %zero : " + few + " -> " + seen + "\n%bias = " + bias +
         "\n%wide = kiln.broadcast %bias, [0, 1, 2, 3] : " + few + " -> " + plane +
         "\n%s = kiln.dot_general %q, %k batch [0, 1] x [0, 1] contract [3] x [3] : " + rows + ", " + rows + " -> " +
         plane + "\n%a = kiln.add %s, %wide : " + plane + "\n%w = kiln.softmax %a, 3 : " + plane +
         "\n%o = kiln.dot_general %w, %v batch [0, 1] x [0, 1] contract [3] x [2] : " + plane + ", " + rows + " -> " +
         rows + "\nreturn %o : " + rows + "\n}\n";
}

TEST(Recover, AMaskOfLargeNegativeNumbers) {
  std::string few = " : tensor<2x1x5x5xf64>", choice = " : tensor<2x1x5x5xi1>, tensor<2x1x5x5xf64>";
  EXPECT_TRUE(isFound(withBias("kiln.select %m, %zero, %low" + choice)));
  EXPECT_TRUE(isFound(withBias("kiln.mul %y, %low" + few)));
  EXPECT_TRUE(isFound(withBias("kiln.select %t, %low, %y" + choice)));
  EXPECT_TRUE(isFound(withBias("kiln.select %n, %low, %y" + choice)));
  EXPECT_FALSE(isFound(withBias("kiln.select %m, %one, %low" + choice)));
  EXPECT_FALSE(isFound(withBias("kiln.select %m, %low, %y" + choice))); // where it is not `low` it may be anything
  EXPECT_FALSE(isFound(withBias("kiln.mul %x, %low" + few)));
  EXPECT_FALSE(isFound(withBias("kiln.mul %y, %high" + few)));
}

TEST(Recover, AttentionInItsForms) {
  for (bool heads : {true, false})
    for (bool turned : {true, false})
      for (bool masked : {true, false})
        for (const char *scaling : {"mul", "div", "none"}) {
          Written w;
          w.heads = heads, w.turned = turned, w.masked = masked, w.scaling = scaling;
          for (bool drops : {false, true}) {
            w.drops = drops;
            EXPECT_TRUE(isFound(w)) << textOf(w);
          }
        }
}

TEST(Recover, ScoresWithASoftCap) {
  for (bool masked : {true, false})
    for (const char *scaling : {"mul", "div", "none"}) {
      Written w;
      w.masked = masked, w.scaling = scaling, w.cap = "3.0";
      EXPECT_TRUE(isFound(w)) << textOf(w);
      mlir::OwningOpRef<mlir::ModuleOp> module = testing::parse(textOf(w));
      mlir::func::FuncOp function = testing::functionIn(*module);
      recoverAttention(function.getBody().front());
      function.walk([&](CappedAttentionOp op) {
        double factor = w.scaling == "mul" ? 0.5 : w.scaling == "div" ? 2 : 1;
        EXPECT_DOUBLE_EQ(op.getSoftcap().convertToDouble(), 3);
        EXPECT_DOUBLE_EQ(op.getScale().convertToDouble(), 3 * factor);
      });
      w.drops = true; // which is no op
      EXPECT_FALSE(isFound(w)) << textOf(w);
    }
  std::vector<Written> others(2);
  others[0].cap = "-3.0";
  others[1].cap = "3.0", others[1].capsHidden = true; // a key that is hidden has a share
  for (const Written &w : others)
    EXPECT_FALSE(isFound(w)) << textOf(w);
}

TEST(Recover, MasksThatAreCausal) {
  struct Mask {
    const char *left, *predicate, *right;
    int more;
    bool keptWhereTrue;
  };
  for (auto [left, predicate, right, more, kept] :
       {Mask{"key", "le", "query", 0, true}, Mask{"key", "lt", "query", 1, true}, Mask{"query", "ge", "key", 0, true},
        Mask{"query", "gt", "key", -1, true}, Mask{"key", "gt", "query", 0, false},
        Mask{"key", "ge", "query", 1, false}, Mask{"query", "lt", "key", 0, false},
        Mask{"query", "le", "key", -1, false}}) {
    Written w;
    w.left = left, w.predicate = predicate, w.right = right, w.more = more, w.keptWhereTrue = kept;
    EXPECT_TRUE(isFound(w)) << textOf(w);
    std::string infinite = w.fill;
    w.fill = "-1.0e9";
    EXPECT_TRUE(isFound(w)) << textOf(w);
    // Other masks: who sees no key has the mean of all values where they are finite, else what is no number.
    for (auto [off, turned] : {std::pair(more, true), {more - 1, false}, {more + 1, false}}) {
      w.more = off, w.keptWhereTrue = kept != turned;
      w.fill = "-1.0e9";
      EXPECT_TRUE(isFound(w)) << textOf(w);
      w.fill = infinite;
      EXPECT_FALSE(isFound(w)) << textOf(w);
    }
  }
}

TEST(Recover, WhatIsNoAttentionStays) {
  std::vector<Written> others(11);
  others[0].predicate = "eq";
  others[1].fill = "-1.0e4";
  others[2].fill = "0.0";
  others[3].factor = "-0.5";
  others[4].sharesRead = true;
  others[5].scoresRead = true;
  others[6].axis = 2;
  others[7].right = "key";
  others[8].drops = others[8].sharesRead = true;
  others[9].drops = others[9].dropsRead = true;
  others[10].drops = others[10].masked = true;
  others[10].more = -1; // who sees no key has dropout on the shares of all: no number
  for (const Written &w : others)
    EXPECT_FALSE(isFound(w)) << textOf(w);
}

} // namespace
} // namespace kiln
