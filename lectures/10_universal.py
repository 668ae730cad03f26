# %% [markdown]
# # 10. One perturbation for all
#
# Every attack so far computed a new perturbation for each image. Now one perturbation is computed once and added to
# images that the attacker has never seen.
#
# **You will learn**
#
# - what a universal perturbation is, and why its success is counted without labels;
# - why on a linear model the worst $\delta$ for one class is the same for all its images;
# - the algorithm of Moosavi-Dezfooli, and gradient ascent on the mean loss;
# - the three kinds (single-class, multiple-class and fully universal), and why success falls as universality rises;
# - the control that every such number needs: noise of the same size.
#
# It goes with the two slides "Universal adversarial examples" of the second deck.

# %%
import numpy as np

from scratchadv import datasets
from scratchadv.attacks import applied, exact, fooling_rate, pgd, universal, universal_gradient
from scratchadv.attacks.one_for_all.mean_gradient import summed_gradient
from scratchadv.attacks.one_for_all.perturbation import aggregate, in_box
from scratchadv.evaluate import judge
from scratchadv.experiments.networks.training import quick
from scratchadv.experiments.universal.experiment import LEVELS, groups_of, under
from scratchadv.losses import logistic, margin
from scratchadv.models import LogisticRegression
from scratchadv.models.protocol import predict
from scratchadv.sets import L2, Linf
from scratchadv.support import plots, show
from scratchadv.training import fit

data = datasets.load("auto")
print(data.source)
model = quick(data, "2-layer")
box = (0, 1)
x, y = data.x_train[:1000], data.y_train[:1000]
unseen, labels = data.x_test[:1000], data.y_test[:1000]
ball = Linf(0.2)
threat = ball.within(*box)
print("an MLP 784-200-10 trained on 5,000 images; δ from 1,000 training images is tested on 1,000 test images")

# %% [markdown]
# ## Universal adversarial examples
#
# The slide speaks of a single small image perturbation that fools a classifier on all natural images. "All" is too
# much to ask, so we count. If $\hat{k}(x)$ is the predicted class, the **fooling rate** of $\delta$ is
#
# $$\frac1N \sum_{i=1}^N 1[\hat{k}(x_i + \delta) \neq \hat{k}(x_i)], \qquad \lVert \delta \rVert \leq \epsilon.$$
#
# No label appears: a change of prediction also counts on an image that was misclassified before. And there is one
# $\delta$ for $N$ images. It lies in the ball, and $x_i + \delta$ is clipped to the pixel range, so each image
# receives its own part of it:

# %%
show.source(fooling_rate, applied, in_box)

# %% [markdown]
# **Exercise 10.1.** Can the fooling rate be larger than the error at $x + \delta$? Can it be smaller? Find an
# inequality between these two and the error at $x$.

# %% tags=["answer"]
noise = 0.3 * np.sign(np.random.default_rng(0).standard_normal(x[:1].shape, dtype=np.float32))
change = applied(noise, unseen, box)
clean, attacked = (float((predict(model, a) != labels).mean()) for a in (unseen, unseen + change))
rate = fooling_rate(model, unseen, noise, box)
print(f"error {clean:.3f}, then {attacked:.3f}; fooling rate {rate:.3f}")
# a new error is a changed prediction, and where both are right nothing has changed
assert attacked - clean <= rate <= attacked + clean

# %% [markdown]
# ## The case that is exact
#
# Chapter 3: on a linear model the worst perturbation in the ball is
# $\delta^* = -y\, \epsilon\, \mathrm{sign}(\theta)$. It does not depend on $x$. So it is already universal for the
# images of one class, and no other $\delta$ in the ball gives a larger loss on any of them. A gradient attack that
# looks for one common $\delta$ must find it:

# %%
two = data.only(0, 1)
binary = LogisticRegression(np.zeros(two.x_train.shape[1:]))
fit(binary, two.x_train[:2000], two.y_train[:2000], epochs=5, progress=False)
lines = []
for label, name in zip((1, -1), two.class_names, strict=True):
    own, theirs = (a[two.y_test == label] for a in (two.x_test, two.y_test))
    best = exact(binary, own, theirs, ball)
    found = universal_gradient(binary, own, theirs, ball)
    losses = [logistic.value(binary.logits(own + delta), theirs).mean() for delta in (best, found)]
    assert np.isclose(*losses, rtol=1e-5)
    lines.append([f"only {name}", *(f"{loss:.5f}" for loss in losses)])
both = universal_gradient(binary, two.x_test, two.y_test, ball)
losses = [
    logistic.value(binary.logits(two.x_test + delta), two.y_test).mean()
    for delta in (exact(binary, two.x_test, two.y_test, ball), both)
]
lines.append(["both", *(f"{loss:.5f}" for loss in losses)])
print(f"logistic regression, 0 against 1, {ball}, no box; mean loss on the test images on which δ was computed")
show.table(["images", "the exact δ of each image", "one δ for all"], lines)

# %% [markdown]
# The third line shows the price of universality: what pushes a 0 across the boundary pushes a 1 away from it. For
# linear models with two classes a fully universal perturbation is hopeless, because it can fool the model on one
# class only. Networks with ten classes give it more possibilities.

# %% [markdown]
# ## The algorithm of Moosavi-Dezfooli
#
# Go through the images. If $\delta$ does not yet change the prediction on image $i$, let DeepFool (chapter 8) find
# the smallest extra change that does, add it, and project back onto the ball:
#
# $$\delta \leftarrow \mathcal{P}(\delta + r_i), \qquad
# r_i = \arg\min_r \left\{\lVert r \rVert_2 : \hat{k}(x_i + \delta + r) \neq \hat{k}(x_i)\right\}.$$
#
# Repeat until the fooling rate reaches $1 - \delta$ (here $\delta$ is the paper's letter for a number;
# $1 - \delta = 0.8$). The paper takes one image after the other, and so does the library by default. With
# `batch_size` above 1, DeepFool runs at once on all images of a batch that are not fooled yet, and their $r_i$ are
# added in turn. This is faster, but not quite the paper's algorithm.

# %%
show.source(aggregate)

# %%
lines = []
few = x[:300]
for size in (1, 30):
    rates = []
    v = universal(
        model,
        few,
        threat,
        passes=3,
        batch_size=size,
        candidates=4,
        rng=np.random.default_rng(0),
        callback=lambda iterate, rates=rates: rates.append(f"{iterate.fooling_rate:.3f}"),
    )
    lines.append([size, ", ".join(rates), f"{fooling_rate(model, unseen, v, box):.3f}"])
print(f"300 training images, {threat}, seed 0")
show.table(["batch size", "fooling rate after each pass", "on 1,000 unseen images"], lines)

# %% [markdown]
# The fooling rate goes up and down: the change for one image may restore the prediction on others. That is why the
# library returns the best pass.

# %% [markdown]
# **Exercise 10.2.** The authors' published code "projects" onto the $\ell_2$ ball by
# $\delta \leftarrow \xi\, \delta / \lVert \delta \rVert_2$, whatever the length of δ. Compare this with $\mathcal{P}$
# for $\delta = (0.3, 0.4)$ and $\xi = 1$. How does it change the algorithm?

# %% tags=["answer"]
v = np.array([[0.3, 0.4]])
assert np.allclose(L2(1).project(v), v)
assert np.allclose(v / np.linalg.norm(v), [[0.6, 0.8]])
print("after the first image δ already has length ξ, although DeepFool made the smallest change that it could")

# %% [markdown]
# ## Ascent on the mean loss
#
# The other method needs no geometry. It is PGD with one $\delta$, whose gradient is the mean over a minibatch:
#
# $$\begin{aligned}
# &\max_{\lVert \delta \rVert \leq \epsilon} \frac1N \sum_{i=1}^N L(y_i, f(x_i + \delta)), \\
# &\delta \leftarrow \mathcal{P}(\delta + \alpha g), \quad
# g = \frac1m \sum_{i=1}^m \nabla_\delta L(y_i, f(x_i + \delta)).
# \end{aligned}$$
#
# Networks are trained in the same way; here $\delta$ takes the place of $\theta$, and the loss goes up. One detail
# matters: a black pixel cannot get darker, so an image whose gradient would darken its black pixel adds nothing to
# that component of $g$.

# %%
show.source(summed_gradient)

# %%
by_gradient = universal_gradient(model, x, y, threat, rng=np.random.default_rng(0))
by_deepfool = universal(model, x, threat, passes=3, batch_size=50, candidates=4, rng=np.random.default_rng(0))
signs = ball.linear_max(np.random.default_rng(0).standard_normal(x[:1].shape, dtype=x.dtype))
own = pgd(model, unseen, labels, threat)
lines = []
for name, delta in (("random signs", signs), ("DeepFool, batches of 50", by_deepfool), ("gradient", by_gradient)):
    error = judge(model, unseen, labels, applied(delta, unseen, box), threat).success.mean()
    rates = (f"{fooling_rate(model, a, delta, box):.3f}" for a in (x, unseen))
    lines.append([name, *rates, f"{error:.3f}"])
error = judge(model, unseen, labels, own, threat).success.mean()
lines.append(["its own for each image, PGD-40", "–", f"{fooling_rate(model, unseen, own):.3f}", f"{error:.3f}"])
print(f"1,000 training and 1,000 test images, {threat}, seed 0")
show.table(["δ", "fooling rate, seen", "unseen", "error, unseen"], lines)

# %% [markdown]
# The table shows two things. A perturbation computed on some images fools the network nearly as often on others: it
# has captured a property of the *network*, not of the images. And random signs of the same size do much less. A
# number without this control says nothing.

# %%
chosen = [int(np.flatnonzero((labels == k) & (predict(model, unseen) == k))[0]) for k in range(10)]
few = unseen[chosen]
rows = []
for title, delta in {
    "clean": 0 * signs,
    "random signs": signs,
    "DeepFool": by_deepfool,
    "gradient": by_gradient,
}.items():
    shown = few + applied(delta, few, box)
    label = predict(model, shown)
    rows.append((title, shown, [data.class_names[k] for k in label], label == labels[chosen]))
figure = plots.before_and_after(rows, box)
figure.suptitle(f"one δ for all: unseen images, 2-layer net, {threat}", fontsize=10)
show.figure(figure, "10_one_for_all", "Ten digits under one perturbation, random, by DeepFool and by gradient")

# %% [markdown]
# **Exercise 10.3.** On a linear model, how far does the best $\delta$ of the $\ell_\infty$ ball move the logit, and
# how far do random signs typically move it? Compute both for the model above.

# %% tags=["answer"]
theta = binary.params["theta"].ravel()
best = ball.eps * abs(theta).sum()
draws = ball.eps * np.random.default_rng(0).choice([-1, 1], (2000, theta.size)) @ theta
typical = ball.eps * np.linalg.norm(theta)  # the standard deviation: a sum of independent signs
assert np.isclose(draws.std(), typical, rtol=0.1)
print(f"ε‖θ‖₁ = {best:.2f}, ε‖θ‖₂ = {typical:.2f}: {best / typical:.0f} times as much")

# %% [markdown]
# ## Single-class, multiple-class, fully universal
#
# The second slide's three kinds come from the same function, applied to the examples of one class, of $1 < N < k$
# classes, or of all classes. We divide the ten classes into groups of 1, 2, 5 and 10, and compute one $\delta$ for
# each group, with the same number of steps.
#
# Success must fall as the groups grow. For the best $\delta$ this is a theorem of one line: the maximum of a mean is
# at most the mean of the maxima:
#
# $$\max_\delta \frac12 \left( R_A(\delta) + R_B(\delta) \right) \leq
# \frac12 \left( \max_\delta R_A(\delta) + \max_\delta R_B(\delta) \right).$$
#
# On unseen images, and for a $\delta$ from an attack that is not exact, it is only an observation (Vadillo and
# Santana made it for speech).

# %%
radii = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
curves = {}
perturbations = {}
for classes in LEVELS:
    rates = []
    for eps in radii:
        found = []
        for group in groups_of(classes, seed=0):
            rows = np.isin(y, group)
            options = {"batch_size": 10 * classes, "rng": np.random.default_rng(0)}
            delta = universal_gradient(model, x[rows], y[rows], Linf(eps).within(*box), **options)
            found.append((group, None, delta))
        change, _, _ = under(found, unseen, labels)
        rates.append(fooling_rate(model, unseen, change, box))
        perturbations[classes, eps] = found
    curves[f"{classes} class{'es' * (classes > 1)}"] = rates
random = [fooling_rate(model, unseen, signs / ball.eps * eps, box) for eps in radii]
lines = [(name, rates, {"marker": "o", "ms": 4}) for name, rates in curves.items()]
lines.append(("random signs", random, {"color": "0.6", "ls": ":"}))
figure = plots.curves(radii, lines, "ε", "fooling rate, unseen")
figure.axes[0].set_title("one δ for each group of classes, 2-layer net, ℓ∞, 0 ≤ x + δ ≤ 1, seed 0", fontsize=10)
show.figure(figure, "10_levels", "Fooling rate over ε, a curve for each number of classes that share a perturbation")

# %%
single = {group[0]: delta for group, _, delta in perturbations[1, ball.eps]}
shown = [*(single[k] for k in range(10)), perturbations[10, ball.eps][0][2]]
figure, axes = plots.figure_with_axes(1, 11, size=(1.05, 1.35))
for axis, delta, name in zip(axes[0], shown, [*data.class_names, "all"], strict=True):
    plots.show_image(axis, delta[0], (-ball.eps, ball.eps), cmap="RdBu_r")
    axis.set_title(f"for {name}", fontsize=10)
figure.suptitle(f"universal perturbations of the 2-layer net, {ball}: red up, blue down", fontsize=10)
show.figure(figure, "10_perturbations", "The perturbations of the ten classes, and the one for all")

# %% [markdown]
# The perturbation removes ink where it makes up the class, and adds ink where it would make up another class.

# %% [markdown]
# **Exercise 10.4.** Prove the inequality above. When does it hold with equality?

# %% [markdown] tags=["answer"]
# Let $\delta_0$ attain the maximum on the left. Then $R_A(\delta_0) \leq \max_\delta R_A(\delta)$ and likewise for
# $B$; the mean of the two is the claim. Equality holds if and only if one $\delta$ maximises both. An example is two
# groups of images of the same class on a linear model.

# %% [markdown]
# **Exercise 10.5.** How many images does the attacker need? Compute a fully universal $\delta$ on 10, 30, 100, 300
# and 1,000 images, with the same number of steps each, and test it on the unseen ones.

# %% tags=["answer"]
counts = (10, 30, 100, 300, 1000)
rates = []
for n in counts:
    size = min(n, 100)
    steps_an_epoch = -(-n // size)
    delta = universal_gradient(
        model, x[:n], y[:n], threat, epochs=50 // steps_an_epoch, batch_size=size, rng=np.random.default_rng(0)
    )
    rates.append(fooling_rate(model, unseen, delta, box))
show.table(["images", *map(str, counts)], [["fooling rate, unseen", *(f"{rate:.3f}" for rate in rates)]])
assert min(rates) > fooling_rate(model, unseen, signs, box)

# %% [markdown]
# ## Targeted
#
# With a target the objective is the one of chapter 6, $L(y) - L(y_{target})$, averaged over all images: the network
# should give the same answer for every image. Images of the target class are left out.

# %%
wide = Linf(0.3).within(*box)
rates, images = [], []
for target in range(10):
    others, rest = y != target, labels != target
    goals = np.full(others.sum(), target)
    delta = universal_gradient(
        model, x[others], y[others], wide, target=goals, loss=margin, rng=np.random.default_rng(0)
    )
    rates.append((predict(model, unseen[rest] + applied(delta, unseen[rest], box)) == target).mean())
    images.append(delta[0])
figure, axes = plots.figure_with_axes(1, 10, size=(1.1, 1.4))
for axis, image, name, rate in zip(axes[0], images, data.class_names, rates, strict=True):
    plots.show_image(axis, image, (-0.3, 0.3), cmap="RdBu_r")
    axis.set_title(f"to {name}: {100 * rate:.0f} %", fontsize=9)
figure.suptitle(f"fully universal and targeted, 2-layer net, {wide}; success on unseen images", fontsize=10)
show.figure(figure, "10_targeted", "A targeted universal perturbation for each class, with its success")

# %% [markdown]
# ## The slides' numbers beside today's
#
# The slides give no numbers. The papers' numbers belong to other data and networks, so only the direction of the
# effects can be compared.

# %%
lines = [
    [
        "Moosavi-Dezfooli et al., unseen ImageNet images, six networks, ξ = 10 of 255",
        "77.8 to 93.7 % (recalled)",
        f"{100 * fooling_rate(model, unseen, by_deepfool, box):.1f} % ({threat})",
    ],
    [
        "Vadillo and Santana, speech: one class, several, all",
        "falls (abstract)",
        ", ".join(f"{100 * rates[radii.index(ball.eps)]:.0f} %" for rates in curves.values())
        + f" for {', '.join(map(str, LEVELS))} classes",
    ],
]
show.table(["what", "paper", "today, digits, 2-layer net"], lines)
print("the full experiment, with CNNs, is `scratchadv reproduce universal`")
