# %% [markdown]
# # 1. What an adversarial example is
#
# A classifier can be right on almost every image and wrong on an image that looks the same. This chapter gives the
# exact meaning, in the two forms that the two decks use.
#
# **You will learn**
#
# - why the test error does not tell you how a model behaves in the worst case,
# - the two definitions: the largest loss inside a set, and the smallest change that fools,
# - untargeted and targeted attacks,
# - why a linear classifier in many dimensions breaks, worked out by hand,
# - how attacks are classified, what is measured, and how a wrong number arises.
#
# Slides: the first deck up to "Targeted attacks" and the second deck up to "Methods for creating adversarial
# examples".

# %%
import numpy as np

from scratchadv import attacks, datasets
from scratchadv.attacks import deepfool, exact, fab, fgsm, pgd
from scratchadv.evaluate import judge
from scratchadv.experiments.networks.training import quick
from scratchadv.losses import Targeted, cross_entropy, logistic
from scratchadv.models import LogisticRegression, Taped
from scratchadv.models.protocol import logits, predict
from scratchadv.numerics import log_sum_exp, sigmoid
from scratchadv.sets import L2, Linf
from scratchadv.support import plots, show

data = datasets.load("auto")
network = quick(data, "2-layer")  # an MLP 784-200-10, trained on 5,000 images
x, y = data.x_test[:200], data.y_test[:200]
print(data.source)

# %% [markdown]
# ## Adversarial robustness
#
# The test error is a mean over examples that nobody chose. **Adversarial robustness** asks for the worst case: an
# adversary may add a perturbation $\delta$ from a set $\Delta$ to each input, and we count what is still right.
#
# $$\frac1N \sum_{i=1}^N \Big[f(x_i) \neq y_i\Big] \qquad \text{becomes} \qquad
# \frac1N \sum_{i=1}^N \max_{\delta \in \Delta} \Big[f(x_i + \delta) \neq y_i\Big]$$
#
# Random noise of the same size is harmless. What fools a model is not the size of a perturbation but its direction.

# %%
rng = np.random.default_rng(0)


def error(delta, threat):
    """Return the share of the images that the network gets wrong at x + δ."""
    return judge(network, x, y, delta, threat).success.mean()


rows = []
for eps in (0.02, 0.05, 0.1):
    threat = Linf(eps).within(0, 1)
    deltas = (0 * x, threat.sample(rng, x), pgd(network, x, y, threat))
    rows.append([str(threat), *(f"{error(delta, threat):.3f}" for delta in deltas)])
print("errors of the MLP 784-200-10 on 200 test images, seed 0; PGD: 40 steps from δ = 0")
show.table(["the set Δ", "no change", "random δ in Δ", "PGD's δ in Δ"], rows)

# %% [markdown]
# ## Adversarial examples
#
# An adversarial example is an input that is deliberately designed to fool a model into misclassifying it. The slides
# show four kinds:
#
# | what was attacked | what the adversary may do | where the idea is in this library |
# | --- | --- | --- |
# | a photograph of a golden retriever | add a little to every pixel | balls, [chapter 2](02_perturbation_sets.py) |
# | face recognition | change only the pixels of a pair of glasses | masks, [chapter 2](02_perturbation_sets.py) |
# | a CNN on ImageNet | draw anything at all | no original image: start from noise, below |
# | speech to text | add a little to the waveform to reach a chosen phrase | a target, below |
#
# They are not peculiar to deep networks. Logistic regression has them too, and [chapter 3](03_linear_models.py)
# computes the worst of them exactly.
#
# Adversarial examples need not resemble anything. Start from grey noise and ask for each of the ten classes in turn:
# the network gives a label to what a person would call blots. It has learned what separates the classes on the images
# that it saw. On other images its confidence means nothing.

# %%
noise = np.random.default_rng(0).random((10, *x.shape[1:]), dtype=x.dtype)
wanted = np.arange(10)
everything = L2(10).within(0, 1)
unrecognisable = noise + pgd(network, noise, (wanted + 1) % 10, everything, target=wanted, steps=100)


def confidence(model, images):
    """Return the predicted label of each image and its probability."""
    z = logits(model, images).astype(float)
    return z.argmax(axis=1), np.exp(z.max(axis=1) - log_sum_exp(z)[:, 0])


labels, sure = confidence(network, unrecognisable)
figure, axes = plots.figure_with_axes(2, 5, size=(1.7, 1.9))
for axis, image, label, p in zip(axes.flat, unrecognisable, labels, sure, strict=True):
    plots.show_image(axis, image)
    axis.set_title(f"“{data.class_names[label]}”  {p:.1%}", fontsize=11)
figure.suptitle(f"noise, moved towards each class: {everything}, PGD, 100 steps", fontsize=10)
show.figure(figure, "01_unrecognisable", "Ten images of noise that the network takes for the ten digits.")

# %% [markdown]
# ## Creation of adversarial examples
#
# We train a network by moving the *parameters* $\theta$ so that the loss falls. We attack it by moving the *input* so
# that the loss rises. To stay close to $x$ we optimise over the perturbation $\delta$, which must lie in a set
# $\Delta$:
#
# $$\arg\max_{\delta \in \Delta} L(y, \hat f(x + \delta \mid \theta)), \qquad
# \Delta = \mathcal{B}_\epsilon^\infty = \{\delta : \lVert\delta\rVert_\infty \leq \epsilon\}, \qquad
# \lVert\delta\rVert_\infty = \max_j |\delta_j|$$
#
# The set may depend on the example, $\Delta(x)$: an image must stay an image, so $0 \leq x + \delta \leq 1$. In code
# a set is an object: `Linf(0.1)` is the ball, and `Linf(0.1).within(0, 1)` is its intersection with the pixel range.
#
# ## The smallest change
#
# The second deck turns the question around. It fixes the outcome and asks for the smallest change:
#
# $$\arg\min_{x^*} \; d(x, x^*) \quad \text{such that} \quad f(x^*) \neq f(x)$$
#
# > **Beside the slide.** The second deck writes $L$ for this distance. The first deck writes $L$ for the loss. We
# > write $d$ for the distance, mostly a norm of $\delta = x^* - x$, and keep $L$ for the loss. We also ask for
# > $f(x^*) \neq y$, so that an image that is misclassified from the start needs no change at all.
#
# Both definitions ask about the same loss surface. Here it has two dimensions, so that we can see all of it: a
# classifier with one logit $z$, labels $y = \pm 1$, and an $x$ of class $+1$. The loss is
# $L = \Psi(yz) = \log(1 + e^{-yz})$.


# %%
def wave(params, x):
    """Return one logit for each x: its height above a wave."""
    height = 3 * (x[:, 1] - 0.4 * x[:, 0] ** 2 + 0.3 * x[:, 0])
    return height + params["theta0"]


hill = Taped(wave, {"theta0": np.array(0.0)}, loss=logistic)
point, plus = np.array([[0.9, 0.55]]), np.array([1])
inside = pgd(hill, point, plus, Linf(0.4))
nearest = fab(hill, point, plus, norm=L2, box=None)

# %%
grid = np.stack(np.meshgrid(np.linspace(-0.2, 2, 200), np.linspace(-0.3, 1.3, 200)), axis=-1)
z = hill.logits(grid.reshape(-1, 2)).reshape(200, 200)
figure, axes = plots.figure_with_axes(1, 2, size=(5.2, 3.8))
turn = np.linspace(0, 2 * np.pi, 200)
length = float(L2.norm(nearest)[0])
outlines = [
    (0.4 * np.array([-1, 1, 1, -1, -1]), 0.4 * np.array([-1, -1, 1, 1, -1]), "Δ: ‖δ‖∞ ≤ 0.4"),
    (length * np.cos(turn), length * np.sin(turn), f"‖δ‖₂ = {length:.3f}"),
]
titles = ["the largest loss in Δ (ε is given)", "the smallest change that fools (ε is found)"]
for axis, delta, (a, b, label), title in zip(axes[0], (inside, nearest), outlines, titles, strict=True):
    shown = axis.contourf(grid[..., 0], grid[..., 1], logistic.value(z, np.ones_like(z)), 24, cmap="YlOrRd")
    axis.contour(grid[..., 0], grid[..., 1], z, [0], colors="k", linewidths=1.5)
    axis.plot(point[0, 0] + a, point[0, 1] + b, color="#2166ac", lw=2, label=label)
    axis.annotate("", (point + delta)[0], point[0], arrowprops={"arrowstyle": "->", "lw": 2, "shrinkB": 0})
    axis.plot(*point[0], "o", color="k", ms=7)
    axis.text(*(point[0] + [-0.08, 0.05]), "x", fontsize=14, ha="right")
    axis.set(title=title, aspect="equal", xlabel="x₁", ylabel="x₂")
    axis.legend(loc="upper left", fontsize=10)
figure.colorbar(shown, ax=axes[0, 1], label="loss L(y, z) for y = +1")
show.figure(figure, "01_two_definitions", "A loss over two inputs: the worst point of a square; the nearest boundary.")

# %% [markdown]
# The black curve is the boundary $z = 0$. One sentence connects the two definitions: **an attack in the ball of
# radius $\epsilon$ can succeed if and only if the smallest change that fools the model is no longer than
# $\epsilon$.** So the error, as a function of $\epsilon$, is the distribution function of the smallest changes.
# Exercise 1.4 checks it.
#
# ## Example: ResNet50
#
# The slide shows a pig that becomes a wombat with 99.6 % confidence. Here is the same on digits: the smallest change
# in $\ell_\infty$ that DeepFool finds. The middle row shows it ten times stronger.

# %%
right = np.flatnonzero(predict(network, x) == y)[:4]
some, labels = x[right], y[right]
delta = deepfool(network, some, labels, norm=Linf)
before, p = confidence(network, some)
after, q = confidence(network, some + delta)
figure, axes = plots.figure_with_axes(3, len(some), size=(2.0, 2.15))
for i, column in enumerate(axes.T):
    plots.show_image(column[0], some[i])
    plots.show_image(column[1], 10 * delta[i], (-1, 1), cmap="RdBu_r")
    plots.show_image(column[2], (some + delta)[i])
    column[0].set_title(f"“{data.class_names[before[i]]}”  {p[i]:.1%}", color=plots.RIGHT)
    column[1].set_title(f"10 δ,  ‖δ‖∞ = {Linf.norm(delta)[i]:.3f}", fontsize=10)
    column[2].set_title(f"“{data.class_names[after[i]]}”  {q[i]:.1%}", color=plots.WRONG)
figure.suptitle("the first test images that the MLP gets right; DeepFool in ℓ∞, 0 ≤ x + δ ≤ 1", fontsize=10)
show.figure(figure, "01_smallest_changes", "Digits, the smallest change found for each, and the digits that fool.")

# %% [markdown]
# The change is invisible on the slide but visible here. A photograph has 150,000 components and a digit has 784; the
# section on linear classifiers below shows why that matters. The new label is barely ahead, because the smallest
# change stops just beyond the boundary. To reach 99.6 %, as on the slide, an attack goes on to raise the loss inside
# a set.
#
# ## Targeted attacks
#
# An untargeted attack accepts any wrong label. A **targeted** attack wants $y_{target}$. The second deck asks for
# $f(x^*) = y_{target}$ at the smallest distance. The first deck adds one term to the loss that is maximised:
#
# $$\arg\max_{\delta \in \Delta} \Big( L(y, \hat f(x + \delta \mid \theta)) -
# L(y_{target}, \hat f(x + \delta \mid \theta)) \Big)$$

# %%
show.source(Targeted)

# %% [markdown]
# Here one digit is attacked towards each of the other nine. Every attack in the library accepts `target=`.

# %%
first = np.repeat(right[:1], 10)
threat = Linf(0.25).within(0, 1)
delta = pgd(network, x[first], y[first], threat, target=wanted)
hit = judge(network, x[first], y[first], delta, threat, target=wanted)
figure, axes = plots.figure_with_axes(2, 5, size=(1.7, 1.95))
for k, axis in enumerate(axes.flat):
    plots.show_image(axis, (x[first] + delta)[k])
    axis.set_title(f"→ {data.class_names[k]}: “{data.class_names[hit.prediction[k]]}”", fontsize=11)
    axis.title.set_color(plots.RIGHT if hit.prediction[k] == y[first[k]] else plots.WRONG)
what = f"a “{data.class_names[y[first[0]]]}” towards each class, and the prediction"
figure.suptitle(f"{what}; {threat}, PGD, 40 steps", fontsize=10)
show.figure(figure, "01_targets", "One digit attacked towards each of the ten classes.")

# %% [markdown]
# **Exercise 1.1.** A targeted attack that succeeds is also a successful untargeted attack. Take the smallest targeted
# change over all targets $k \neq y$. Is it the smallest untargeted change?

# %% [markdown] tags=["answer"]
# Yes. "Any label but $y$" is the union of the nine cases "label $k$", and the minimum over a union is the smallest of
# the minima. An algorithm that finds a minimum only approximately may give two different numbers. Then the smaller
# one counts.

# %% [markdown]
# **Exercise 1.2.** Show that for cross-entropy the targeted objective is $z_{target} - z_y$: the other logits cancel.

# %% [markdown] tags=["answer"]
# $L(y, z) = \log \sum_k e^{z_k} - z_y$. The logarithm of the sum is the same in $L(y)$ and in $L(y_{target})$, so it
# cancels in the difference.

# %% tags=["answer"]
z = np.random.default_rng(1).standard_normal((5, 10))
pairs = np.array([[3, 7]] * 5)
assert np.allclose(Targeted(cross_entropy).value(z, pairs), z[:, 7] - z[:, 3])

# %% [markdown]
# ## Breaking linear classifiers
#
# Karpathy's example in the second deck needs no computer. A linear classifier has the score $z = \theta^T x$ and
# gives class 1 the probability $\tau(z) = 1 / (1 + e^{-z})$. Move each component by one half, always in the direction
# that helps class 1: $\delta_j = \tfrac12 \mathrm{sign}(\theta_j)$.

# %%
features = np.array([[2.0, -1, 3, -2, 2, 2, 1, -4, 5, 1]])
theta = np.array([-1.0, -1, 1, -1, 1, -1, 1, 1, -1, 1])
linear = LogisticRegression(theta)
delta = exact(linear, features, np.array([-1]), Linf(0.5))  # x has class 0, label −1; the attack wants class 1
lines = {"x": features[0], "θ": theta, "θ x": theta * features[0], "δ": delta[0], "θ δ": theta * delta[0]}
rows = [[name, *(f"{v:g}" for v in values), f"{values.sum():g}"] for name, values in lines.items()]
show.table(["j", *map(str, range(1, 11)), "sum"], rows)
scores = linear.logits(features)[0], linear.logits(features + delta)[0]
print("score:       {:g} → {:g}".format(*scores))
print("probability: {:.3f} → {:.3f}".format(*sigmoid(np.array(scores))))

# %% [markdown]
# The last line of the table explains everything. Each component adds only one half, but all ten add up, because the
# attack gives each component the sign of its weight:
#
# $$\theta^T \delta = \sum_j \theta_j \, \epsilon \, \mathrm{sign}(\theta_j) = \epsilon \lVert\theta\rVert_1$$
#
# With $p$ weights of size 1 this grows like $p$. Random signs of the same size add up to about $\epsilon \sqrt{p}$
# only. That is why noise is harmless, why an attack is not, and why images with many pixels are easier to attack.

# %%
sizes = np.unique(np.geomspace(10, 150_000, 20).astype(int))
signs = [rng.choice([-1.0, 1.0], (20, p)) for p in sizes]
figure, axes = plots.figure_with_axes(size=(7.0, 4.0))
axis = axes[0, 0]
axis.loglog(sizes, 0.01 * sizes, color=plots.WRONG, lw=2, label="the attack: ε‖θ‖₁")
noisy = [np.sqrt(np.mean((0.01 * s.sum(axis=1)) ** 2)) for s in signs]
axis.loglog(sizes, noisy, "o", color="#2166ac", label="random signs of size ε (20 draws)")
axis.loglog(sizes, 0.01 * np.sqrt(sizes), color="#2166ac", lw=1, label="ε‖θ‖₂")
axis.axvline(784, color="0.6", lw=1, zorder=0)
axis.text(820, 0.04, "a digit", color="0.4")
axis.set(xlabel="number of components p", ylabel="how far the score moves", title="weights ±1, ε = 0.01")
axis.grid(alpha=0.25)
axis.legend(frameon=False, loc="upper left")
show.figure(figure, "01_dimension", "The shift by the attack grows like p, that by noise like the square root of p.")

# %% [markdown]
# **Exercise 1.3.** What is the smallest $\epsilon$ that changes the predicted class in Karpathy's example?

# %% [markdown] tags=["answer"]
# The score must rise by 3, and it rises by $\epsilon \lVert\theta\rVert_1 = 10 \epsilon$. So $\epsilon = 0.3$.

# %% tags=["answer"]
smallest = -linear.logits(features)[0] / abs(theta).sum()
for eps, label in ((smallest - 0.01, -1), (smallest + 0.01, 1)):
    assert predict(linear, features + exact(linear, features, np.array([-1]), Linf(eps))) == label
print(f"{smallest:g}")

# %% [markdown]
# **Exercise 1.4.** Check the sentence in bold above on the network: the error at $\epsilon$ is the share of smallest
# changes that are no longer than $\epsilon$. Find the smallest changes with `deepfool(norm=Linf)` and the error with
# `pgd`. Why are the two curves not the same?

# %% tags=["answer"]
delta = deepfool(network, x, y, norm=Linf)
sizes = np.where(predict(network, x + delta) != y, Linf.norm(delta), np.inf)
for eps in (0.02, 0.05, 0.1):
    in_set = Linf(eps).within(0, 1)
    print(f"ε = {eps}: {np.mean(sizes <= eps):.3f} by DeepFool, {error(pgd(network, x, y, in_set), in_set):.3f} by PGD")
    assert np.mean(sizes <= eps) >= error(0 * x, in_set)

# %% [markdown] tags=["answer"]
# Neither attack is exact on a network. DeepFool may find a change that is longer than the smallest one, and PGD may
# miss a point of the set that fools the model. Each curve is a lower bound on the true error, and so is the worst
# case over both.

# %% [markdown]
# ## Impact
#
# Why care? A sticker can mislead a car that reads signs, illegal content can be made to pass a filter, and a face or
# a voice can be made to pass for another. In each case ask three questions: *what may the adversary change* (this is
# $\Delta$), *what does the adversary know about the model*, and *what outcome does the adversary want*. The three
# answers together are the **threat model**. A robustness number without a threat model means nothing.
#
# The same tools are useful without any adversary: adversarial examples show what a model relies on, and they are the
# hardest kind of training data ([chapter 7](07_adversarial_training.py)).
#
# ## Methods for creating adversarial examples
#
# The slide classifies attacks by what they know. **White-box** attacks know the model and follow its gradients: those
# of *gradient based optimisation* climb the loss inside a set, and those of *constrained optimisation* look for the
# smallest change. **Black-box** attacks see only the model's output. The folders of `scratchadv.attacks` follow this
# tree:

# %%
rows = []
for attack in attacks.CATALOGUE:
    folder = attack.function.__module__.removeprefix("scratchadv.attacks.").split(".")[0]
    rows.append([f"`{folder}`", f"`{attack.name}`", attack.summary])
show.table(["folder or file", "attack", "what it does"], rows)

# %% [markdown]
# ## What is measured
#
# We believe an attack only after three questions: is $\delta$ in $\Delta(x)$, what does the model predict for
# $x + \delta$ when it is asked *again*, and does that differ from $y$? The function `judge` asks them and ignores
# what the attack reports about itself.

# %%
show.source(judge)

# %% [markdown]
# Wrong numbers arise easily. Every line of this table comes from the same model on the same images, and somebody
# could publish each of them as "the error at $\epsilon = 0.1$".

# %%
ball, threat = Linf(0.1), Linf(0.1).within(0, 1)
strong, unclipped = pgd(network, x, y, threat), pgd(network, x, y, ball)
masked = np.where(abs(x) > 0, strong, 0)  # a mistake: "no ink, nothing to change"
cases = [
    ("random noise, called an attack", threat.sample(rng, x), threat),
    ("PGD, but only pixels with ink may change", masked, threat),
    ("PGD, 3 steps of 0.001", pgd(network, x, y, threat, steps=3, alpha=0.001), threat),
    ("FGSM", fgsm(network, x, y, threat), threat),
    ("PGD, 40 steps", strong, threat),
    ("PGD that ignores the pixel range, and nobody checks", unclipped, ball),
    ("the same, judged in ball ∩ box", unclipped, threat),
]
rows = []
for name, delta, judged_in in cases:
    verdict = judge(network, x, y, delta, judged_in)
    rows.append([name, f"{verdict.success.mean():.3f}", f"{verdict.inside.mean():.3f}"])
show.table(["MLP 784-200-10, 200 test images, ε = 0.1 in ℓ∞", "error", "share inside the set it is judged in"], rows)

# %% [markdown]
# Nobody cheats in the first three lines. A weak attack makes a model look robust, and nothing looks broken. The last
# two lines show the opposite mistake: a $\delta$ outside the set proves nothing, so `judge` does not count it. Two
# things help: to try attacks where the answer is known, on linear models ([chapter 3](03_linear_models.py)), and to
# test laws that every attack must satisfy ([chapter 9](09_true_numbers.py)).
#
# **Exercise 1.5.** An image file stores 256 levels for each pixel. What may happen to an adversarial example that is
# saved as a file? For which $\epsilon$ in $\ell_\infty$ does it certainly stay inside the ball? (`judge` has an
# argument `bits`.)

# %% [markdown] tags=["answer"]
# Rounding moves each pixel by up to half a level, 1/510, so a tiny $\delta$ vanishes. If the data lie on the levels
# and $\epsilon$ is a whole number of levels, the saved image stays inside the ball. Whether it still fools the model
# must be judged again.

# %% tags=["answer"]
tiny = Linf(0.4 / 255).within(0, 1)
verdict = judge(network, x, y, fgsm(network, x, y, tiny), tiny, bits=8)
assert (verdict.norm < 1e-6).all()
assert (verdict.prediction == predict(network, x)).all()

# %% [markdown]
# ## The slides' numbers beside today's

# %%
published = ["−3", "2", "0.047", "0.881"]
names = ["score of x", "score of x + δ", "probability of x", "probability of x + δ"]
today = [*(f"{s:g}" for s in scores), *(f"{p:.3f}" for p in sigmoid(np.array(scores)))]
show.table(
    ["Karpathy's linear classifier, ε = 0.5 in ℓ∞, no box", "published", "today"],
    [list(row) for row in zip(names, published, today, strict=True)],
)
