# %% [markdown]
# # 11. Networks that attack
#
# Most attacks so far solve a new problem for each image. Here the problem is solved once for all images: a second
# network learns to attack the first, and then an attack is one forward pass.
#
# **You will learn**
#
# - the two forms of an adversarial transformation network: it produces the perturbation (P-ATN) or the whole image
#   (AAE);
# - its loss, and the reranking $r_\alpha$ that says what the attacked network should answer;
# - how the gradient flows through two networks, of which only one is trained;
# - targeted and untargeted ATNs, one for each target or one for all of them;
# - ATNs trained against several networks, or against a substitute of a black box;
# - what such an attack costs, compared with PGD.
#
# It goes with the two slides "Adversarial transformation networks" of the second deck.

# %%
import time

import numpy as np

from scratchadv import datasets
from scratchadv.attacks import pgd
from scratchadv.attacks.one_for_all.transformation import ATN, atn_loss, rerank, train_atn
from scratchadv.experiments.networks.training import quick
from scratchadv.models import MLP
from scratchadv.models.protocol import predict
from scratchadv.sets import L2
from scratchadv.support import plots, show
from scratchadv.training import fit
from scratchadv.training.optim import Adam, cosine

data = datasets.load("auto")
print(data.source)
victim, other = quick(data, "2-layer"), quick(data, "4-layer")
x, xs, ys = data.x_train[:3000], data.x_test[:1000], data.y_test[:1000]
print(
    "victim: an MLP 784-200-10 trained on 5,000 images; ATNs learn from 3,000 images without labels; 1,000 test images"
)

# %% [markdown]
# ## Adversarial transformation networks
#
# Let $f$ be the network that is attacked, and $f(x)$ its probabilities. A generator $G$ with parameters of its own
# turns x into $x'$. We want two things: $x'$ should look like x, and $f$ should give the answer that we want. The
# loss of $G$ has one term for each:
#
# $$\min_G \sum_i \beta \lVert x_i' - x_i \rVert_2^2 + \lVert f(x_i') - r_\alpha(f(x_i), t) \rVert_2^2.$$
#
# The loss contains no label, only $f$'s own answers: the slide calls this **self-supervised**. β is the price of the
# change. There is no ε and no bound on the size of the change: it results from the trade-off between the two terms.
#
# What should $f(x')$ be? A one-hot vector for the target would be far from $f(x)$ and would require a large change.
# The **reranking** asks for less. It raises the target to α times the largest entry, keeps the order of the others,
# and normalises:
#
# $$r_\alpha(y, t) = \frac{s}{\sum_k s_k}, \qquad
# s_k = \begin{cases} \alpha \max_j y_j & k = t \\ y_k & \text{otherwise.} \end{cases}$$

# %%
show.source(rerank)
p = np.array([[0.02, 0.90, 0.05, 0.03]])
wanted = {"f(x)": p[0]} | {
    f"r for t = 3, α = {alpha:g}": rerank(p, np.array([3]), alpha)[0] for alpha in (1.1, 1.5, 4.0)
}
show.table(["", "class 0", "class 1", "class 2", "class 3"], [[name, *row.round(3)] for name, row in wanted.items()])

# %% [markdown]
# **Exercise 11.1.** $f(x) = (1, 0, 0)$, the target is class 1, α = 1.5. What is $r_\alpha$, and by how much does the
# target lead? By how much for general α? What happens for $\alpha \to 1$?

# %% [markdown] tags=["answer"]
# $(1, \alpha, 0) / (1 + \alpha)$, so $(0.4, 0.6, 0)$. The lead is $(\alpha - 1) / (\alpha + 1)$, which is 0.2 here,
# and goes to zero with α − 1. Then the ATN learns to end on the boundary, and about half of its images end on the
# wrong side of it.

# %% tags=["answer"]
np.testing.assert_allclose(rerank(np.array([[1.0, 0.0, 0.0]]), np.array([1])), [[0.4, 0.6, 0.0]])

# %% [markdown]
# ## Using NNs to generate adversarial examples
#
# The slide names two forms. The generator produces the **perturbation**, or it produces an **adversarial
# autoencoding**:
#
# $$\text{P-ATN: } x' = \tanh(x + G(x)), \qquad \text{AAE: } x' = G(x).$$
#
# Pixels lie in [0, 1]. So the library clips a negative tanh at 0, and ends the autoencoder with a logistic function.
# Neither form can leave the box.

# %%
show.source(ATN.formed)

# %% [markdown]
# The gradient flows backward through both networks: first through $f$ to $x'$, as in any attack, then through the
# generator to its parameters, as in any training. The pullback of $f$ feeds the pullback of the generator.

# %%
show.source(atn_loss)

# %% [markdown]
# **Exercise 11.2.** A P-ATN starts with $G = 0$. How far is $x'$ from x at a black pixel and at a white pixel? What
# must $G$ produce to keep a white pixel nearly white, and why will it never be completely white?

# %% [markdown] tags=["answer"]
# $\tanh 0 = 0$ and $\tanh 1 = 0.76$: black stays black and white becomes grey. $G = \operatorname{artanh}(x) - x$
# would return x, but $\operatorname{artanh} 1 = \infty$. So part of the change that a P-ATN pays for has nothing to
# do with the attack.

# %% tags=["answer"]
still = MLP((2, 2), dtype=np.float64)
still.params = {name: np.zeros_like(value) for name, value in still.params.items()}
np.testing.assert_allclose(ATN(still)(np.array([[0.0, 1.0]])), [[0.0, np.tanh(1.0)]])

# %% [markdown]
# ## Self-supervised: one target
#
# Now we train several ATNs with target 3: both forms, with several prices β.

# %%
epochs, target = 4, 3
options = {"epochs": epochs, "optimizer": Adam(2e-3), "schedule": cosine(epochs), "batch_size": 50, "progress": False}
fair = ys != target


def trained(victims=(victim,), target=target, **more):
    """Train a small ATN with one hidden layer of 100 units; the target is an input if it varies."""
    start = MLP((784 + 10 * (target == "all"), 100, 784))
    return train_atn(list(victims), x, target=target, generator=start, **options, **more)


def sizes(images, clean):
    """Return the median ℓ2 size of the change."""
    return float(np.median(L2.norm(images - clean)))


lines = []
pictures = [("clean", xs)]
one_target = {}
for kind, title in (("perturbation", "P-ATN"), ("autoencoding", "AAE")):
    for beta in (0.01, 0.001) if kind == "autoencoding" else (0.01, 0.005, 0.001):
        atn = one_target[title, beta] = trained(kind=kind, beta=beta)
        images = atn(xs)
        hit = predict(victim, images) == target
        lines.append([title, f"{beta:g}", f"{100 * hit[fair].mean():.1f} %", f"{sizes(images, xs):.2f}"])
        pictures.append((f"{title}\nβ = {beta:g}", images))
show.table(["form", "β", f"reach {target}", "median ‖x' − x‖₂"], lines)
print(f"{epochs} epochs of Adam, step 0.002 falling to 0, batches of 50, α = 1.5; test images that are not a {target}")

# %%
chosen = [int(np.flatnonzero((ys == k) & (predict(victim, xs) == ys))[0]) for k in range(10)]
shown = []
for title, images in pictures:
    label = predict(victim, images[chosen])
    shown.append((title, images[chosen], [data.class_names[k] for k in label], label == ys[chosen]))
figure = plots.before_and_after(shown, (0, 1))
figure.suptitle(
    f"Towards {target}: clean images and what the ATNs turn them into, with the MLP's predictions", fontsize=10
)
show.figure(figure, "11_one_target", "Digits, and the images of P-ATNs and AAEs for several prices of the change")

# %% [markdown]
# The two forms attack in different ways. The P-ATN keeps the image and adds a haze. The AAE redraws the whole image,
# which blurs it even where nothing is attacked, because it is an autoencoder in the first place.
#
# **Exercise 11.3.** What does an AAE learn for $\beta \to \infty$? What does it learn without any victim? Check that
# both have the same gradient, up to the factor β.

# %% [markdown] tags=["answer"]
# Only the first term counts, so the AAE learns plain autoencoding in both cases. After division by β the two
# gradients differ by a constant divided by β.

# %% tags=["answer"]
few = xs[:20].astype(np.float64)
painter = ATN(MLP((784, 20, 784), dtype=np.float64), "autoencoding")
r = rerank(np.full((20, 10), 0.1), np.full(20, target))
plain = atn_loss(painter, [], few, [], beta=1)[1](np.ones(20))
dear = atn_loss(painter, [victim], few, [r], beta=1e9)[1](np.ones(20))
for name in plain:
    np.testing.assert_allclose(dear[name] / 1e9, plain[name], atol=1e-6)

# %% [markdown]
# ## Targeted or untargeted
#
# One network for each target makes ten networks. Alternatively, the target is a second input, one-hot, which is drawn
# again for each image in each epoch. For an untargeted ATN, the library takes as t the class with the second-largest
# probability under $f$: the nearest wrong answer.

# %%
every, away = trained(target="all"), trained(target=None)
t = (ys + 1 + np.random.default_rng(0).integers(9, size=len(ys))) % 10
rows = [
    ("one target", one_target["P-ATN", 0.005](xs[fair]), xs[fair], np.full(fair.sum(), target), True),
    ("all targets, one network", every(xs, t), xs, t, True),
    ("untargeted", away(xs), xs, ys, False),
]
lines = []
for title, images, clean, label, reach in rows:
    success = ((predict(victim, images) == label) == reach).mean()
    lines.append([title, f"{100 * success:.1f} %", f"{sizes(images, clean):.2f}"])
show.table(["P-ATN, β = 0.005", "success", "median ‖x' − x‖₂"], lines)
print("success: the target is reached (all targets: a random wrong label); untargeted: any wrong label")

# %%
four = xs[chosen[4]][None].repeat(10, axis=0)
images = every(four, np.arange(10))
label = predict(victim, images)
figure, axes = plots.figure_with_axes(2, 10, size=(1.05, 1.35))
for k, column in enumerate(axes.T):
    plots.show_image(column[0], images[k])
    plots.show_image(column[1], (images - four)[k], (-1, 1), cmap="RdBu_r")
    column[0].set_title(f"to {data.class_names[k]}", fontsize=10, color=plots.RIGHT if label[k] == k else plots.WRONG)
axes[0, 0].set_ylabel("x'", fontsize=10)
axes[1, 0].set_ylabel("x' − x", fontsize=10)
figure.suptitle("One P-ATN, one image, ten targets (green: the target is reached), β = 0.005", fontsize=10)
show.figure(figure, "11_all_targets", "A four changed by one network towards each of ten targets, and the changes")

# %% [markdown]
# **Exercise 11.4.** The untargeted ATN never sees y. On which images does it help the victim?

# %% [markdown] tags=["answer"]
# On those that $f$ already gets wrong: there the second class is often the true one, and the ATN turns a wrong answer
# into a right one. We count them:

# %% tags=["answer"]
wrong = predict(victim, xs) != ys
mended = (predict(victim, away(xs))[wrong] == ys[wrong]).mean()
print(f"of {wrong.sum()} images that the victim gets wrong, the untargeted ATN corrects {100 * mended:.0f} %")

# %% [markdown]
# ## They can also be applied to a set of networks
#
# The second term becomes a sum over networks. The hope is that an image which fools several networks will fool
# another one too.
#
# ## Trained in a black-box manner
#
# If the victim shows only its labels, the attacker has no gradient for the training. So the attacker lets the victim
# label images, trains a **substitute** on them, trains the ATN against the substitute, and tries it on the victim.

# %%
substitute = MLP((784, 100, 10), rng=np.random.default_rng(7))
fit(substitute, x, predict(victim, x), epochs=5, optimizer=Adam(1e-3), progress=False)
unseen = quick(data, "2-layer", seed=1)
columns = {"victim 784-200-10": victim, "4-layer MLP": other, "784-200-10, other seed": unseen}
sources = {"victim": [victim], "victim and 4-layer": [victim, other], "substitute (black box)": [substitute]}
lines = []
for title, victims in sources.items():
    atn = one_target["P-ATN", 0.005] if victims == [victim] else trained(victims)
    images = atn(xs)
    shares = [(predict(model, images)[fair] == target).mean() for model in columns.values()]
    lines.append([title, *(f"{100 * share:.1f} %" for share in shares), f"{sizes(images, xs):.2f}"])
show.table(["trained against", *columns, "median ‖x' − x‖₂"], lines)
print(f"P-ATN, target {target}, β = 0.005; the share of test images of other labels that reach it on each network")

# %% [markdown]
# **Exercise 11.5.** Does it matter whether the loss takes the sum or the mean over the networks? What would you
# change so that the price of the change for each victim is the same with two victims as with one?

# %% [markdown] tags=["answer"]
# It matters. With the mean, β counts more: $\beta D + \frac1m \sum L_f$ is $\frac1m (m \beta D + \sum L_f)$. So to
# compare m victims with one at the same price of the change for each victim, use $m \beta$ with the sum.

# %% [markdown]
# ## What an attack costs
#
# PGD does its work again for each image, while the ATN is trained once. To compare them, we give PGD a ball whose
# radius is the median size of the ATN's changes. Half of the ATN's changes are larger than that; those of PGD never
# are.

# %%
few = slice(0, 300)
ball = L2(sizes(every(xs, t), xs))
attacks = {
    "P-ATN, all targets": lambda: every(xs[few], t[few]) - xs[few],
    f"PGD-40, ‖δ‖₂ ≤ {ball.radius:.2f}": lambda: pgd(victim, xs[few], ys[few], ball.within(0, 1), target=t[few]),
}
lines = []
for title, attack in attacks.items():
    attack()
    began = time.perf_counter()
    delta = attack()
    each = 1e6 * (time.perf_counter() - began) / len(delta)
    hit = (predict(victim, xs[few] + delta) == t[few]).mean()
    lines.append([title, f"{100 * hit:.1f} %", f"{each:,.0f}"])
show.table(["attack", "reaches its target", "µs an image"], lines)

# %% [markdown]
# **Exercise 11.6.** A defender wants adversarial training against ATNs, with a new ATN for every state of the
# network. From how many images on is an ATN the cheaper attack? And why is a network that resists one ATN not
# necessarily robust?

# %% [markdown] tags=["answer"]
# Training takes about three passes through both networks for each image and epoch, and PGD takes two passes through
# one network for each step. So with E epochs on N images the ATN is cheaper than PGD-40 from roughly
# $3 E N / (2 \cdot 40)$ images on, depending on the size of the generator. This is fewer than the N images from which
# it learned, if E is small. But an ATN is one attack with fixed habits. Robustness is a statement about all changes
# in a set, so it must be tested with the strongest attack known.

# %% [markdown]
# ## The slides' numbers beside today's
#
# The slides give no numbers. The paper's numbers for MNIST are for networks with one target each, and ours are those
# above. Victims, generators and the amount of training differ, so only the direction can be compared: the cheaper the
# change, the higher the success.

# %%
paper = {0.01: "69 %", 0.005: "84 %", 0.001: "96 %"}
lines = []
for beta, published in paper.items():
    images = one_target["P-ATN", beta](xs[fair])
    lines.append([f"{beta:g}", published, f"{100 * (predict(victim, images) == target).mean():.1f} %"])
show.table(["β", "paper (recalled)", f"here, P-ATN, target {target}, victim MLP"], lines)
print("full size, on the CNN: scratchadv reproduce transformation")
