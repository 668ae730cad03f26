# %% [markdown]
# # 3. Linear models, solved exactly
#
# For a linear model the worst perturbation has a formula. The min-max problem of adversarial training becomes an
# ordinary convex problem, which can be solved with a proof of optimality. Everything that is only a heuristic for
# networks is exact here, so this is the place to understand it and to test attacks.
#
# **You will learn**
#
# - the slides' derivation of $\delta^* = -y\,\epsilon\,\mathrm{sign}(\theta)$, step by step,
# - what the attack costs the model: the dual norm of its weights,
# - what happens on MNIST, 0 against 1,
# - how close SGD comes to the optimum of the robust problem, and what the exact optimum is, with a certificate,
# - up to which $\epsilon$ a data set can be classified robustly at all.
#
# Slides: "Adversarial training", "Linear models" and "MNIST example" of the first deck.

# %%
from dataclasses import replace

import numpy as np

from scratchadv import datasets, robust_logistic
from scratchadv.attacks import exact
from scratchadv.experiments.experiment import Measured, result_of
from scratchadv.experiments.linear import experiment as linear
from scratchadv.experiments.linear import figures
from scratchadv.losses import Logistic
from scratchadv.models import LogisticRegression
from scratchadv.models.protocol import predict
from scratchadv.numerics import rows as flat
from scratchadv.numerics import sigmoid
from scratchadv.robust_logistic.solvers.dual import lower_bound
from scratchadv.sets import L1, L2, Linf
from scratchadv.support import plots, show
from scratchadv.training import fit
from scratchadv.training.optim import SGD

digits = datasets.load("auto")
data = digits.only(0, 1)  # labels +1 for 0 and −1 for 1
print(data.source)
print(f"{len(data.x_train):,} training and {len(data.x_test):,} test images")

# %% [markdown]
# ## Adversarial training
#
# To make a model robust, minimise its loss under the worst perturbations, the **empirical adversarial risk**:
#
# $$\min_{\theta} \mathcal{R}_{adv}(\theta) = \min_{\theta} \frac1N \sum_{i=1}^N \max_{\delta \in \Delta(x_i)}
# L(y_i, f(x_i + \delta \mid \theta))$$
#
# There is a maximisation inside a minimisation. [Chapter 7](07_adversarial_training.py) does this for networks, where
# the inner problem can only be solved approximately. Here we solve both problems exactly.
#
# ## Linear models
#
# Logistic regression turns the score $z = \theta^T x + \theta_0$ into the probability $\tau(z) = (1 + e^{-z})^{-1}$
# of the class $y = +1$. The probability of the right class is $\tau(yz)$, and the loss is its negative logarithm:
#
# $$\begin{aligned} L(y, f(x \mid \theta)) &= \log(1 + \exp(-y(\theta^T x + \theta_0))) \\
# &= \Psi(y(\theta^T x + \theta_0)), \qquad \Psi(m) = \log(1 + e^{-m}) \end{aligned}$$
#
# The number $m = y(\theta^T x + \theta_0)$ is the **margin**: it is positive where the model is right. $\Psi$ is a
# decreasing function.

# %%
show.source(Logistic, LogisticRegression.logits)

# %% [markdown]
# ## The exact attack
#
# We go through the slides' derivation one step at a time.
#
# **1. A decreasing function is largest where its argument is smallest.** So the maximum moves inside $\Psi$ and
# becomes a minimum:
#
# $$\max_{\delta \in \Delta} \Psi(y(\theta^T(x + \delta) + \theta_0)) =
# \Psi\Big(\min_{\delta \in \Delta} y(\theta^T(x + \delta) + \theta_0)\Big)$$
#
# **2. Only one term contains $\delta$.** The rest moves out of the minimum:
#
# $$= \Psi\Big(y(\theta^T x + \theta_0) + \min_{\delta \in \Delta} y\, \theta^T \delta\Big)$$
#
# **3. The sum separates.** In the $\ell_\infty$ ball every $\delta_j$ may be chosen independently from
# $[-\epsilon, \epsilon]$, and $y\,\theta_j \delta_j$ is smallest at the end whose sign is that of $-y\,\theta_j$:
#
# $$\delta^* = -y\,\epsilon\,\mathrm{sign}(\theta)$$
#
# **4. The value.** Since $y^2 = 1$,
# $\; y\,\theta^T \delta^* = -\epsilon \sum_j |\theta_j| = -\epsilon \lVert\theta\rVert_1$. The attack lowers every
# margin by the same amount, whatever $x$ is:
#
# $$\max_{\delta \in \Delta} \Psi(y(\theta^T(x + \delta) + \theta_0)) =
# \Psi(y(\theta^T x + \theta_0) - \epsilon \lVert\theta\rVert_1)$$
#
# > **Beside the slide.** The right side of the slide's formula still contains $\delta$, and $\theta_0$ is missing. It
# > should be $\Psi(y(\theta^T x + \theta_0) - \epsilon \lVert\theta\rVert_1)$, as in the line above. The minimisation
# > problem below it on the slide is correct.
#
# In the language of [chapter 2](02_perturbation_sets.py#the-best-point-of-a-set): $\delta^*$ is the best point of
# $\Delta$ in the direction $-y\theta$, and the margin falls by $\epsilon$ times the **dual norm** of $\theta$. So the
# same line of code works for every ball, with or without a pixel range.

# %%
show.source(exact)

# %% [markdown]
# In two dimensions we can see all of it. The squares are $x + \Delta$. A point is robustly classified if its whole
# square lies on the correct side of the boundary, and one corner decides that.

# %%
rng = np.random.default_rng(4)
y = np.repeat([1, -1], 8)
x = rng.uniform(-1.1, 1.1, (16, 2)) + np.outer(y, [0.8, 0.8])
model = LogisticRegression(np.array([2.0, 1.0]))
ball = Linf(0.4)
theta, theta0 = model.params["theta"], model.params["theta0"]
delta = exact(model, x, y, ball)
left = robust_logistic.worst_margin(theta, theta0, x, y, ball)
figure, axes = plots.figure_with_axes(size=(7.2, 5.2))
axis = axes[0, 0]
eps = ball.eps
square = eps * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]])
for point, label, d, m in zip(x, y, delta, left, strict=True):
    colour = plots.RIGHT if m > 0 else plots.WRONG
    axis.plot(*(point + square).T, color=colour, lw=1)
    axis.plot(*np.stack([point, point + d]).T, color=colour, lw=1)
    axis.plot(*point, "o" if label > 0 else "s", color=colour, ms=7)
axis.axline((0, 0), slope=-2, color="k")
shift = eps * abs(theta).sum() / theta[1]
axis.fill_between([-3, 3], [6 - shift, -6 - shift], [6 + shift, -6 + shift], color="0.9", zorder=0)
title = f"z = 2x₁ + x₂, {ball}; circles y = +1, squares y = −1\ngrey: |z| < ε‖θ‖₁; red: wrong at the corner δ*"
axis.set(title=title, xlabel="x₁", ylabel="x₂", xlim=(-2.8, 2.8), ylim=(-2.4, 2.4), aspect="equal")
show.figure(figure, "03_corners", "Points in squares: a point is red if its worst corner lies across the boundary.")

# %% [markdown]
# **Exercise 3.1.** What is $\delta^*$ for the $\ell_2$ ball, and by how much does it lower the margin? What are the
# answers for the $\ell_1$ ball?

# %% [markdown] tags=["answer"]
# For $\ell_2$ it is $-y\,\epsilon\,\theta / \lVert\theta\rVert_2$ and lowers the margin by
# $\epsilon \lVert\theta\rVert_2$. In $\ell_1$ the whole budget goes to the component with the largest $|\theta_j|$
# and lowers the margin by $\epsilon \lVert\theta\rVert_\infty$.

# %% tags=["answer"]
assert np.allclose(exact(model, x, y, L2(0.4)), -0.4 * np.outer(y, theta) / np.linalg.norm(theta))
for ball, price in ((Linf(0.4), 0.4 * 3), (L2(0.4), 0.4 * np.sqrt(5)), (L1(0.4), 0.4 * 2)):
    lost = y * (model.logits(x) - model.logits(x + exact(model, x, y, ball)))
    assert np.allclose(lost, price)

# %% [markdown]
# ## MNIST example
#
# Digits 0 (label $+1$) against 1 (label $-1$), $\Delta = \mathcal{B}^\infty_{0.2}$ without a pixel range, as on the
# slides. The library's experiment computes three models: one by SGD on the clean loss, one by SGD on the attacked
# loss, and the exact optimum of the attacked loss.

# %%
ball = Linf(linear.SLIDES_EPS)
setup = linear.train(linear.FULL, digits, ball.eps, seed=0)
plain, optimum = setup.models["plain"], setup.models["optimum"]
error = np.mean(predict(plain, data.x_test) != data.y_test)
print(f"SGD, 10 epochs, step 1, batches of 100, seed 0: clean test error {error:.4f}")
print(f"under δ*, ε = 0.2, no box: {linear.attacked_error(plain, data.x_test, data.y_test, ball):.4f}")

# %%
show.figure(figures.draw_delta_star(plain.params["theta"], ball.eps), "03_delta_star", "The optimal perturbations.")

# %% [markdown]
# Because $\delta^*$ does not depend on $x$, it is the same for all images of a class, and its sign flips between the
# two classes. It vaguely draws a 1 in black and a 0 in white. The next figure shows the loss of one example on the
# left. On the right, all the test margins move left by the same amount $\epsilon \lVert\theta\rVert_1$.

# %%
show.figure(figures.draw_psi(setup), "03_psi", "The loss decreases in the margin; the attack shifts all margins.")

# %%
show.figure(figures.draw_digits(setup), "03_digits", "Digits before and after the attack, with their predictions.")

# %% [markdown]
# In the third row the attack keeps the pixels in $[0, 1]$. It cannot remove ink where there is none, it lowers the
# margins less, and it now depends on $x$. It is still exact: each component is still a problem of its own, with a
# shorter interval.
#
# **Exercise 3.2.** The smallest $\epsilon$ that fools the model on example $i$ is its margin divided by
# $\lVert\theta\rVert_1$. Why? Use this to get the attacked error at *every* $\epsilon$ without running an attack.

# %% [markdown] tags=["answer"]
# The margin under attack, $m_i - \epsilon \lVert\theta\rVert_1$, is zero at that $\epsilon$. The attacked error is
# the share of examples whose $m_i / \lVert\theta\rVert_1$ is below $\epsilon$: a distribution function.

# %% tags=["answer"]
theta, theta0 = plain.params["theta"].astype(float), float(plain.params["theta0"])
x64 = data.x_test.astype(float)
distance = robust_logistic.worst_margin(theta, theta0, x64, data.y_test, Linf(0.0)) / abs(theta).sum()
for eps in (0.05, 0.1, 0.2, 0.3):
    exactly = linear.attacked_error(LogisticRegression(theta, theta0), x64, data.y_test, Linf(eps))
    assert np.isclose(np.mean(distance < eps), exactly)

# %% [markdown]
# ## The robust objective
#
# We know the inner maximum, so the min-max problem has become a minimisation:
#
# $$\min_{\theta, \theta_0} \frac1N \sum_{i=1}^N
# \Psi\big(y_i (\theta^T x_i + \theta_0) - \epsilon \lVert\theta\rVert_1\big)$$
#
# It is **convex**: for each fixed $\delta$ the loss is convex in $(\theta, \theta_0)$, and a maximum of convex
# functions is convex. The norm looks like the penalty of the lasso, but it is *inside* $\Psi$. An example that is
# classified correctly by a wide margin pays almost nothing for it, so the objective asks for robustness where it is
# needed.

# %%
show.source(robust_logistic.worst_margin, robust_logistic.objective)

# %% [markdown]
# **Exercise 3.3.** Show that the robust objective is at most the plain one plus $\epsilon \lVert\theta\rVert_1$, the
# objective of the lasso. (How steep is $\Psi$?)

# %% [markdown] tags=["answer"]
# $\Psi'(m) = -\tau(-m)$ lies between $-1$ and $0$. Moving the argument left by $\epsilon \lVert\theta\rVert_1$ raises
# $\Psi$ by at most the same amount.

# %% tags=["answer"]
for scale in (0.01, 0.1, 1.0):
    values = [robust_logistic.objective(scale * theta, theta0, x64, data.y_test, Linf(eps)) for eps in (0.0, 0.2)]
    assert values[1] <= values[0] + 0.2 * scale * abs(theta).sum()

# %% [markdown]
# **Exercise 3.4.** The gradient of the robust objective is the gradient of the plain loss *at the attacked examples*,
# with $\delta^*$ held fixed. Check it. (This is Danskin's theorem. Here it is easy to see: where no $\theta_j$ is
# zero, $\delta^*$ does not change when $\theta$ moves a little.)

# %% tags=["answer"]
x, y = data.x_test[:50].astype(float), data.y_test[:50]
model = LogisticRegression(np.random.default_rng(0).normal(0, 0.1, x.shape[1:]), 0.1)
z, pull = model.vjp_theta(x + exact(model, x, y, ball))
at_attacked = pull(model.loss.grad(z, y) / len(x))
by_formula = robust_logistic.gradient(*model.params.values(), x, y, ball)
assert np.allclose(at_attacked["theta"], by_formula[0])
assert np.isclose(at_attacked["theta0"], by_formula[1])

# %% [markdown]
# ## SGD against the exact optimum
#
# The slide says that the problem is convex, so it can be solved exactly, and that SGD will also approach the minimum.
# How closely? SGD attacks each batch with $\delta^*$ and takes a step. After each epoch we compute the robust
# objective on all training images. `robust_logistic.fit` solves the problem by Newton's method on the weights that
# are not zero.

# %%
solution = setup.fit
print(f"objective {solution.objective:.9f}, lower bound {solution.lower_bound:.9f}, relative gap {solution.gap:.1e}")


def descend(step, epochs=15):
    """Return the robust objective on the training images after each epoch of SGD under δ*."""
    rng = np.random.default_rng(0)
    seen = []
    model = LogisticRegression.initial(data.x_train.shape[1:], rng)
    for _ in range(epochs):
        fit(
            model,
            data.x_train,
            data.y_train,
            epochs=1,
            optimizer=SGD(step),
            rng=rng,
            attack=lambda model, x, y: exact(model, x, y, ball),
        )
        seen.append(robust_logistic.objective(*model.params.values(), data.x_train, data.y_train, ball))
    return seen


# %%
figure, axes = plots.figure_with_axes(size=(7.6, 4.2))
axis = axes[0, 0]
epochs = np.arange(1, 16)
for step, colour in ((1.0, "#fdae61"), (0.1, "#d7191c"), (0.01, "#2166ac")):
    axis.plot(epochs, descend(step), "o-", color=colour, ms=4, label=f"SGD, step {step:g}")
axis.axhline(solution.objective, color=plots.RIGHT, lw=2, label=f"exact optimum {solution.objective:.6f}")
axis.set(xlabel="epoch", ylabel="robust objective on the training images", xticks=range(0, 16, 5), ylim=(0, None))
axis.set_title(f"{ball}, no box; batches of 100, seed 0")
axis.grid(alpha=0.25)
axis.legend(frameon=False, loc="lower left", ncols=2)
show.figure(figure, "03_sgd_and_optimum", "SGD with three step sizes approaches the exact optimum from above.")

# %% [markdown]
# ## The certificate
#
# Why should we believe that no model lies below the green line? A **lower bound** proves that a minimum is one.
# $\Psi$ is a maximum of straight lines, $\Psi(m) = \max_{0 \leq a \leq 1} H(a) - a\,m$ with the entropy
# $H(a) = -a \log a - (1 - a) \log(1 - a)$. So for *every* choice of weights $a_i \in [0, 1]$
#
# $$\frac1N \sum_i \Psi(m_i) \geq \frac1N \sum_i H(a_i) - \frac1N \sum_i a_i m_i, \qquad
# m_i = y_i(\theta^T x_i + \theta_0) - \epsilon \lVert\theta\rVert_1 .$$
#
# Choose the weights so that $\sum_i a_i y_i = 0$ and
# $\lVert \sum_i a_i y_i x_i \rVert_\infty \leq \epsilon \sum_i a_i$. Then the last sum is never positive, whatever
# $\theta$ and $\theta_0$ are, so $\frac1N \sum_i H(a_i)$ is a lower bound on the objective of every model. The solver
# returns the best such bound that it knows. If the objective and the bound agree to six digits, we know the optimum
# to six digits.

# %%
show.source(lower_bound)

# %% [markdown]
# **Exercise 3.5.** Complete the last step of the proof: why is $\sum_i a_i m_i \leq 0$ for weights with these two
# properties?

# %% [markdown] tags=["answer"]
# $\sum_i a_i m_i = \theta^T \sum_i a_i y_i x_i + \theta_0 \sum_i a_i y_i - \epsilon \lVert\theta\rVert_1 \sum_i a_i$.
# The second term is zero. The first is at most $\lVert\theta\rVert_1 \lVert \sum_i a_i y_i x_i \rVert_\infty$
# (Hölder's inequality), and this is at most $\epsilon \lVert\theta\rVert_1 \sum_i a_i$, which the third term
# subtracts.

# %% [markdown]
# What does the robust model look at? As in the lasso, the norm $\lVert\theta\rVert_1$ sets those weights to zero that
# do not reduce the loss by more than they cost. The two properties of the $a_i$ say which weights these are. At the
# optimum $a_i = \tau(-m_i)$, so hard examples count most. Take the mean image of each class with these weights. The
# two means differ by at most $2\epsilon$ everywhere, and the model uses only pixels at which they differ by
# $2\epsilon$. Elsewhere the adversary can make the two means equal without using its whole budget.

# %%
theta = solution.theta
m = robust_logistic.worst_margin(theta, solution.theta0, data.x_train, data.y_train, ball)
weights = sigmoid(-m)
means = [np.average(data.x_train[at], axis=0, weights=weights[at]) for at in (data.y_train > 0, data.y_train < 0)]
difference = abs(means[0] - means[1])
print(f"{np.count_nonzero(theta)} of {theta.size} weights of the exact optimum are not zero")
print(f"there the means differ by {difference[theta != 0].min():.4f} to {difference[theta != 0].max():.4f},")
print(f"elsewhere by at most {difference[theta == 0].max():.4f}; 2 ε = {2 * ball.eps:g}")

# %%
three = [model.params["theta"] for model in setup.models.values()]
figure = plots.signed_images(three, [f"θ, {name}" for name in linear.NAMES.values()])
show.figure(figure, "03_weights", "The weights are noisy after SGD; in the exact robust model few are not zero.")

# %%
few = replace(data, x_test=data.x_test[:500], y_test=data.y_test[:500])
figure = figures.draw_error_over_eps(replace(setup, data=few))
figure.axes[0].set_title("the first 500 test images under the exact attack")
show.figure(figure, "03_error_over_eps", "Attacked test error of three models over ε, without and with the box.")

# %% [markdown]
# The left end of the curves shows what robustness costs on clean images, and the grey line shows what it gains. The
# box (dashed) weakens the adversary, above all where a model has weights on pixels that are always black.
#
# ## How robust can it get
#
# If every margin of some linear model is positive under attack, the data are **robustly separable**. Then the minimum
# is not attained: doubling $\theta$ and $\theta_0$ doubles every margin, and the objective approaches 0 without
# reaching it. `fit` detects and reports this. Up to which $\epsilon$ are the data robustly separable?
#
# $$\epsilon^* = \max_{\theta, \theta_0} \min_i \frac{y_i(\theta^T x_i + \theta_0)}{\lVert\theta\rVert_1}$$
#
# This is the largest margin in the dual norm. For $\ell_2$ it is the margin of the support vector machine.

# %%
part = data.x_train[:200, ::2, ::2], data.y_train[:200]  # every second row and column
rows = []
for norm in (Linf, L2, L1):
    radius = robust_logistic.critical_radius(*part, norm)
    below, above = (robust_logistic.fit(*part, norm(share * radius)) for share in (0.9, 1.1))
    rows.append([norm.name, f"{radius:.4f}", below.separable, above.separable, f"{above.objective:.4f}"])
header = ["200 training images of 14 × 14", "critical ε", "separable at 0.9 of it", "at 1.1", "minimum at 1.1"]
show.table(header, rows)

# %% [markdown]
# **Exercise 3.6.** From which $\epsilon$ on is $\theta = 0$ the best linear model? (Consider two examples of
# different classes at distance $d$ in $\ell_\infty$, then the means of the classes.)

# %% [markdown] tags=["answer"]
# The balls of radius $d/2$ around two such points touch, so from $\epsilon = d/2$ on the adversary can make the
# points equal. In general $\theta = 0$ is optimal if and only if the means of the two classes are within $2\epsilon$
# of each other in $\ell_\infty$: a model that gives all images the same score has the same $a_i$ for all examples of
# a class.

# %% tags=["answer"]
x, y = data.x_train, data.y_train
means = [flat(x[y == k].astype(float)).mean(axis=0) for k in (1, -1)]
half = abs(means[0] - means[1]).max() / 2
print(f"half the distance of the means: {half:.4f}")
assert abs(robust_logistic.fit(x, y, Linf(1.001 * half)).theta).max() < 1e-6
assert abs(robust_logistic.fit(x, y, Linf(0.9 * half)).theta).max() > 1e-3

# %% [markdown]
# ## The slides' numbers beside today's
#
# Published numbers are shown for MNIST only. The column "box" adds $0 \leq x + \delta \leq 1$. "Exact" means that no
# linear model has a smaller robust objective than the lower bound of the certificate.

# %%
one_seed = Measured({"numbers": linear.measure_models(setup), "spread over seeds": {}})
result = result_of(linear.EXPERIMENT, setup, one_seed)
setting, (table,) = result["setting"], linear.tables(result)
print(*(f"{key}: {setting[key]}" for key in ("threat", "attack", "exact optimum", "errors")), sep="\n")
show.table(table.header[:-1], [row[:-1] for row in table.rows])
