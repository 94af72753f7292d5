// Small models for `kiln conform`: norms, attention, recurrence, convolution, losses, and between them every composite,
// so that a training step takes its gradient. The files that their data come from are not read: the kit makes a
// program's arguments.
#pragma once

namespace kiln {

inline constexpr char conformSamples[] = R"(
model Dense(width=33):
    hidden = Linear(17, width)
    norm   = LayerNorm(width)
    out    = Linear(width, 5)

    def forward(features: f32[B, 17]) -> f32[B, 5]:
        return out(norm(gelu(hidden(features))))

train Dense:
    data      = csv("none.csv", features=17, label=17, batch=7)
    loss      = cross_entropy(forward(data.features), data.label)
    optimizer = AdamW(lr=0.01, weight_decay=0.1)
    clip      = 1.0
    steps     = 10

model Attend(vocab=13, context=9, width=12):
    tokens = Embedding(vocab, width)
    places = Embedding(context, width)
    attn   = SelfAttention(width, 3, causal=True)
    norm   = RMSNorm(width)

    def forward(ids: i32[B, T <= context]) -> f32[B, T, vocab]:
        x = tokens(ids) + places(iota(T))
        return norm(x + attn(x)) @ tokens.weight.T

train Attend:
    data      = text("none.txt", context=9, batch=3)
    loss      = cross_entropy(forward(data.ids), data.next)
    optimizer = Adam(lr=0.001)
    steps     = 10

model Recurrent(vocab=13, width=10):
    tokens = Embedding(vocab, width)
    lstm   = LSTM(width, width)
    out    = Linear(width, vocab)

    def forward(ids: i32[B, T]) -> f32[B, T, vocab]:
        y, state = lstm(tokens(ids))
        return out(y)

train Recurrent:
    data      = text("none.txt", context=11, batch=3)
    loss      = cross_entropy(forward(data.ids), data.next)
    optimizer = SGD(lr=0.1, momentum=0.9)
    steps     = 10

model Convolve():
    conv = Conv2d(1, 6, 3, padding=1)
    norm = BatchNorm2d(6)
    pool = MaxPool2d(2)
    out  = Linear(96, 3)

    def forward(features: f32[B, 64]) -> f32[B, 3]:
        x = pool(relu(norm(conv(reshape(features, B, 1, 8, 8)))))
        return out(reshape(x, B, 96))

train Convolve:
    data      = csv("none.csv", features=64, label=64, batch=5)
    loss      = cross_entropy(forward(data.features), data.label)
    optimizer = SGD(lr=0.05)
    steps     = 10

model Activations():
    first = Linear(6, 10)
    out   = Linear(10, 3)

    def forward(features: f32[B, 6]) -> f32[B, 3]:
        x = first(features) - 0.4
        return out(relu(x) + silu(x) * softplus(x) + gelu(x) - 2.0 * gelu(x, tanh=True))

train Activations:
    data      = csv("none.csv", features=6, label=6, batch=9)
    loss      = cross_entropy(forward(data.features), data.label)
    optimizer = SGD(lr=0.5)
    steps     = 10

model Distributions():
    first = Linear(6, 10)
    out   = Linear(10, 3)

    def forward(features: f32[B, 6]) -> f32[B, 3]:
        x = first(features)
        return out(softmax(x) * 3.0 + softmax(x, axis=0) + log_softmax(x, axis=1))

train Distributions:
    data      = csv("none.csv", features=6, label=6, batch=9)
    loss      = cross_entropy(forward(data.features), data.label, smoothing=0.1)
    optimizer = SGD(lr=0.5)
    steps     = 10

model Norms():
    first = Linear(6, 10)
    layer = LayerNorm(10)
    root  = RMSNorm(10)
    out   = Linear(10, 3)

    def forward(features: f32[B, 6]) -> f32[B, 3]:
        x = first(features)
        return out(layer(x) * root(x))

train Norms:
    data      = csv("none.csv", features=6, label=6, batch=9)
    loss      = cross_entropy(forward(data.features), data.label)
    optimizer = SGD(lr=0.5)
    steps     = 10

model Masked():
    first = Linear(6, 3 * 24)
    out   = Linear(24, 3)

    def forward(features: f32[B, 6]) -> f32[B, 3]:
        q, k, v = split(permute(reshape(first(features), 1, B, 6, 12), 0, 2, 1, 3), 3, axis=1)
        seen    = reshape(iota(B) < 7, 1, 1, 1, B)
        y       = attention(q, k, v, mask=seen) + attention(q, k, v, causal=True, scale=0.5)
        y       = y + attention(q, k, v, mask=seen, causal=True, window=4, softcap=0.7)
        return out(reshape(y, B, 24))

train Masked:
    data      = csv("none.csv", features=6, label=6, batch=9)
    loss      = cross_entropy(forward(data.features), data.label)
    optimizer = SGD(lr=0.1)
    steps     = 10

model Biased():
    first  = Linear(6, 3 * 24)
    slopes = parameter(f32[2], init=ones)
    out    = Linear(24, 3)

    def forward(features: f32[B, 6]) -> f32[B, 3]:
        q, k, v = split(permute(reshape(first(features), 1, B, 6, 12), 0, 2, 1, 3), 3, axis=1)
        seen    = reshape(iota(B) < 7, 1, 1, 1, B)
        back    = (iota(B)[None, :] - iota(B)[:, None]).to(f32)
        bias    = (slopes[:, None, None] * back)[None]
        y       = attention_with(q, k, v, mask=seen, bias=bias) + attention_with(q, k, v, causal=True, bias=sin(bias), scale=0.5)
        y       = y + attention_with(q, k, v, mask=seen, p=0.2) + attention_with(q, k, v, causal=True, bias=bias, p=0.3)
        return out(reshape(y, B, 24))

train Biased:
    data      = csv("none.csv", features=6, label=6, batch=9)
    loss      = cross_entropy(forward(data.features), data.label)
    optimizer = SGD(lr=0.1)
    steps     = 10

model Random():
    first = Linear(6, 10)
    out   = Linear(10, 3)

    def forward(features: f32[B, 6]) -> f32[B, 3]:
        x = first(features)
        return out(dropout(x, 0.3) * random_uniform(B, 10) + random_normal(B, 10))

train Random:
    data      = csv("none.csv", features=6, label=6, batch=9)
    loss      = cross_entropy(forward(data.features), data.label)
    optimizer = SGD(lr=0.5)
    steps     = 10
)";

} // namespace kiln
