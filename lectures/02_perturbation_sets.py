# %% [markdown]
# # 2. Perturbation sets and norms
#
# An attack is a search in a set $\Delta$. This chapter is about the set alone: what it looks like, where its best
# point is, how to return to it, and how to draw from it. No model is needed before the last section.
#
# **You will learn**
#
# - the balls of $\ell_\infty$, $\ell_2$, $\ell_1$ and $\ell_0$, alone and intersected with the pixel range,
# - the best point of a set for a linear function, and the dual norm that is its value,
# - the exact projections, and why projecting and then clipping is not one of them,
# - how a box, a mask and a budget of each feature are put together with `&`,
# - how to draw uniformly from a ball, and where such points lie in many dimensions,
# - what each $\epsilon$ looks like on a digit.
#
# Slides: "Creation of adversarial examples" (the set $\Delta$) and "Projected gradient descent" (the projection) of the
# first deck.

# %%
import numpy as np

from scratchadv import datasets
from scratchadv.attacks import fgsm
from scratchadv.experiments.networks.training import quick
from scratchadv.models.protocol import predict
from scratchadv.numerics import rows as flat
from scratchadv.sets import L0, L1, L2, Box, Linf, Mask, Range
from scratchadv.support import plots, show

data = datasets.load("auto")
print(data.source)
balls = [Linf(0.6), L2(0.6), L1(0.6), L0(1)]
BLUE, LIGHT = "#2166ac", "#bcd4e6"

# %% [markdown]
# ## Creation of adversarial examples
#
# The slide's set is the ball of the maximum norm: each component of $\delta$ lies between $-\epsilon$ and $+\epsilon$.
# Other norms allow other changes of the same example:
#
# | set | formula | what it allows |
# | --- | --- | --- |
# | `Linf(eps)` | $\max_j \lvert\delta_j\rvert \leq \epsilon$ | a small change of every pixel |
# | `L2(eps)` | $\sqrt{\sum_j \delta_j^2} \leq \epsilon$ | a total energy, spread freely over the pixels |
# | `L1(eps)` | $\sum_j \lvert\delta_j\rvert \leq \epsilon$ | a total amount of change, best spent on few pixels |
# | `L0(k)` | $\lvert\{j : \delta_j \neq 0\}\rvert \leq k$ | any change of $k$ pixels |
#
# The last one is not a norm and its set is not convex, but it has the same four methods. An image must also stay an
# image, so we usually want the intersection of the ball and the box: `ball.within(0, 1)`. That set depends on $x$:
# `.at(x)` is $\Delta(x) = \{\delta : \lVert\delta\rVert \leq \epsilon,\ 0 \leq x + \delta \leq 1\}$.
#
# The projection leaves the points of the set where they are and moves all others into it. So projecting a fine grid
# of points draws the set.

# %%
x = np.array([[0.75, 0.3]])  # an "image" of two pixels
grid = np.stack(np.meshgrid(*2 * [np.linspace(-1.05, 1.05, 85)]), axis=-1).reshape(-1, 2)
many = np.repeat(x, len(grid), axis=0)
figure, axes = plots.figure_with_axes(2, 4, size=(2.9, 2.9))
for line, boxed in zip(axes, (False, True), strict=True):
    for axis, ball in zip(line, balls, strict=True):
        threat = ball.within(0, 1) if boxed else ball
        inside = many + threat.at(many).project(grid)
        axis.plot(*inside.T, "s", color=BLUE, ms=2.6, mew=0)
        axis.plot(*x[0], "o", color="k", ms=6)
        axis.plot([0, 1, 1, 0, 0], [0, 0, 1, 1, 0], color="0.5", lw=1)
        axis.set(title=str(ball) + (" in the box" if boxed else ""), aspect="equal", xlim=(-0.4, 1.5), ylim=(-0.7, 1.3))
figure.suptitle("x + Δ(x) for an image of two pixels (black); the grey square is the pixel range [0, 1]²")
show.figure(figure, "02_balls", "The four balls around a point, and what the pixel range leaves of each.")

# %% [markdown]
# The radii $\epsilon$ of different norms cannot be compared. The corners of the $\ell_\infty$ ball are far away in
# the other norms:
#
# $$\lVert\delta\rVert_\infty \leq \lVert\delta\rVert_2 \leq \lVert\delta\rVert_1 \leq
# \sqrt{p}\, \lVert\delta\rVert_2 \leq p\, \lVert\delta\rVert_\infty$$

# %%
corner = np.full((1, 784), 0.1)
show.table(
    ["a corner of Linf(0.1) in 784 dimensions", "its norm"],
    [[type(ball).__name__, f"{ball.norm(corner)[0]:g}"] for ball in balls],
)

# %% [markdown]
# **Exercise 2.1.** To how many of 256 grey levels do $\epsilon = 0.2$ (the slides' digits) and $\epsilon = 0.007$
# (the panda of the slide "Fast gradient sign method") correspond? Which is the smallest $\ell_2$ ball that contains
# the slides' $\ell_\infty$ ball?

# %% tags=["answer"]
print(f"{0.2 * 255:.1f} levels and {0.007 * 255:.1f} levels; the L2 ball of radius {0.2 * np.sqrt(784):.1f}")
assert np.isclose(L2.norm(np.full((1, 784), 0.2)), 0.2 * np.sqrt(784)).all()

# %% [markdown]
# ## The best point of a set
#
# Near $x$ every smooth loss looks linear: $L(x + \delta) \approx L(x) + \langle g, \delta \rangle$ with the gradient
# $g$. So the first question about a set is where a linear function is largest, and how large it is there.
#
# $$\mathrm{linear\_max}(g) = \arg\max_{\delta \in \Delta} \langle g, \delta \rangle, \qquad
# \mathrm{support}(g) = \max_{\delta \in \Delta} \langle g, \delta \rangle = \epsilon \lVert g \rVert_*$$
#
# The value defines the **dual norm** $\lVert g \rVert_*$. For $\ell_\infty$ each component is a problem of its own:
# it takes the end of its interval that has the sign of $g_j$, and gains $\epsilon |g_j|$. The sum of these is
# $\epsilon \lVert g \rVert_1$. For $\ell_2$ the best point lies along $g$. For $\ell_1$ the whole budget goes to the
# component with the largest $|g_j|$.
#
# | ball | best point | dual norm |
# | --- | --- | --- |
# | $\ell_\infty$ | $\epsilon\, \mathrm{sign}(g)$ | $\ell_1$ |
# | $\ell_2$ | $\epsilon\, g / \lVert g \rVert_2$ | $\ell_2$ |
# | $\ell_1$ | $\epsilon\, \mathrm{sign}(g_j)\, e_j$ with $j = \arg\max_j \lvert g_j \rvert$ | $\ell_\infty$ |

# %%
show.source(Linf.linear_max, L2.linear_max, L1.linear_max)

# %% [markdown]
# This one method gives several formulas of the slides. With the gradient of the loss it is FGSM, with $g = -y\theta$
# it is the exact attack on a linear model, and with a small radius it is a step of PGD.

# %%
g = np.array([[0.8, 0.5]])
figure, axes = plots.figure_with_axes(2, 4, size=(2.9, 2.9))
for line, boxed in zip(axes, (False, True), strict=True):
    for axis, ball in zip(line, balls, strict=True):
        threat = ball.within(0, 1) if boxed or isinstance(ball, L0) else ball
        inside = many + threat.at(many).project(grid)
        best = threat.at(x).linear_max(g)
        axis.plot(*inside.T, "s", color=LIGHT, ms=2.6, mew=0)
        axis.axline((x + best)[0], slope=-g[0, 0] / g[0, 1], color="0.4", lw=1, ls="--")
        axis.annotate("", (x + 0.5 * g)[0], x[0], arrowprops={"arrowstyle": "->", "lw": 2, "color": "k"})
        axis.plot(*(x + best)[0], "o", color=plots.WRONG, ms=9)
        title = f"{ball}" + (" in the box" if threat is not ball else "")
        axis.set(title=f"{title}\n⟨g, δ⟩ = {threat.at(x).support(g)[0]:.3f}", aspect="equal")
        axis.set(xlim=(-0.4, 1.5), ylim=(-0.7, 1.3))
figure.suptitle("arrow: g; red: the best point of x + Δ(x); dashed: where ⟨g, δ⟩ has its value there")
show.figure(
    figure, "02_best_points", "The best point of each set in the direction g, without and with the pixel range."
)

# %% [markdown]
# `L0` without a box has no best point, because one component may go to infinity. The library raises an error that
# says so.
#
# **Exercise 2.2.** For $g = (3, -4)$, compute by hand the best point and the support of each of the three balls of
# radius 2.

# %% tags=["answer"]
g = np.array([[3.0, -4.0]])
by_hand = {Linf: ([2, -2], 14), L2: ([1.2, -1.6], 10), L1: ([0, -2], 8)}
for norm, (point, value) in by_hand.items():
    assert np.allclose(norm(2).linear_max(g), point)
    assert np.isclose(norm(2).support(g), value).all()

# %% [markdown]
# ## Projected gradient descent
#
# PGD takes a step and returns to the set: $\delta^{[t+1]} = \mathcal{P}(\delta^{[t]} + \alpha g)$. The return is the
# Euclidean **projection**, which gives the nearest point of the set:
#
# $$\mathcal{P}(z) = \arg\min_{\delta \in \Delta} \lVert \delta - z \rVert_2, \qquad
# \text{for } \ell_\infty\text{:} \quad \mathcal{P}(z) = \mathrm{clip}(z, [-\epsilon, \epsilon])$$
#
# For $\ell_2$ the projection is a rescaling. For $\ell_1$ it is not: all magnitudes shrink by the same *amount*
# $\lambda$, and the small ones become zero. For $\ell_0$ the $k$ largest components stay and the others become zero.

# %%
show.source(Linf.project, L2.project, L1.project)

# %%
angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
outside = 1.05 * np.stack([np.cos(angles), 0.8 * np.sin(angles)], axis=1)
figure, axes = plots.figure_with_axes(1, 4, size=(3.1, 3.4))
for axis, ball in zip(axes[0], balls, strict=True):
    nearest = ball.project(outside)
    axis.plot(*ball.project(grid).T, "s", color=LIGHT, ms=2.6, mew=0)
    for z, p in zip(outside, nearest, strict=True):
        axis.plot(*np.stack([z, p]).T, color="0.5", lw=1)
    axis.plot(*outside.T, "o", color="k", ms=4, label="z")
    axis.plot(*nearest.T, "o", color=plots.WRONG, ms=6, label="P(z)")
    axis.set(title=str(ball), aspect="equal", xlim=(-1.2, 1.2), ylim=(-1.1, 1.5))
    axis.legend(loc="upper center", ncols=2, frameon=False)
show.figure(figure, "02_projections", "Points outside the four balls and their nearest points inside.")

# %% [markdown]
# One law characterises the projection $\mathcal{P}(z)$ onto a convex set. No point $v$ of the set makes an acute
# angle with the direction from $\mathcal{P}(z)$ to $z$:
#
# $$\langle z - \mathcal{P}(z),\ v - \mathcal{P}(z) \rangle \leq 0 \quad \text{for all } v \in \Delta .$$
#
# The tests of the library check the law for the worst possible $v$, which `linear_max` computes.
#
# **Exercise 2.3.** Project $(3, 4)$ onto the balls of radius 1 by hand. Why is $(3/7, 4/7)$, the rescaled point, not
# the projection onto the $\ell_1$ ball?

# %% [markdown] tags=["answer"]
# $(1, 1)$ for $\ell_\infty$ and $(0.6, 0.8)$ for $\ell_2$. For $\ell_1$ shrink both by $\lambda = 3$ to get $(0, 1)$.
# This point is nearer to $(3, 4)$ than the rescaled point.

# %% tags=["answer"]
z = np.array([[3.0, 4.0]])
for norm, p in {Linf: [1, 1], L2: [0.6, 0.8], L1: [0, 1]}.items():
    assert np.allclose(norm(1).project(z), p)
assert np.linalg.norm(z - [0, 1]) < np.linalg.norm(z - z / 7)

# %% [markdown]
# **Exercise 2.4.** Write the projection onto the $\ell_1$ ball yourself. Sort the magnitudes
# $a_1 \geq a_2 \geq \dots$; if $m$ of them stay above zero, then $\lambda = (a_1 + \dots + a_m - \epsilon) / m$.
# Which $m$ is right?

# %% [markdown] tags=["answer"]
# The largest $m$ for which $a_m > \lambda$, where $\lambda$ is computed from that same $m$ (Duchi et al., 2008).


# %% tags=["answer"]
def project_l1(z, eps):
    """Return the projection of one vector onto the ℓ1 ball."""
    a = abs(z)
    if a.sum() <= eps:
        return z
    a = np.sort(a)[::-1]
    shrink = (np.cumsum(a) - eps) / np.arange(1, len(a) + 1)
    return np.sign(z) * np.maximum(abs(z) - shrink[np.flatnonzero(a > shrink)[-1]], 0)


for z in np.random.default_rng(0).standard_normal((100, 30)):
    assert np.allclose(project_l1(z, 2.5), L1(2.5).project(z[None])[0])

# %% [markdown]
# ## Project, then clip
#
# Many libraries project onto the intersection in two steps: they project onto the ball, then they clip to the box.
# The result lies in both sets and looks right. For $\ell_\infty$ it is right, because both sets are boxes. For
# $\ell_2$ and $\ell_1$ it is not the nearest point. After clipping the point no longer uses its whole budget, and the
# other components could have used the rest.

# %%
x, z = np.array([[0.8, 0.35]]), np.array([[0.9, 0.75]])
many = np.repeat(x, len(grid), axis=0)
figure, axes = plots.figure_with_axes(1, 2, size=(4.8, 4.4))
for axis, ball in zip(axes[0], (L2(0.6), L1(0.6)), strict=True):
    threat = ball.within(0, 1)
    onto_ball, nearest = ball.project(z), threat.at(x).project(z)
    clipped = np.clip(x + onto_ball, 0, 1) - x
    far = [np.linalg.norm(z - delta) for delta in (clipped, nearest)]
    axis.plot(*(many + threat.at(many).project(grid)).T, "s", color=LIGHT, ms=3.6, mew=0)
    axis.plot([0, 1, 1, 0, 0], [0, 0, 1, 1, 0], color="0.5", lw=1)
    way = np.concatenate([x + z, x + onto_ball, x + clipped])
    axis.plot(*way.T, "o--", color=plots.WRONG, lw=1.5, label=f"project, then clip: {far[0]:.3f} away")
    axis.plot(*np.concatenate([x + z, x + nearest]).T, "s-", color=plots.RIGHT, label=f"nearest: {far[1]:.3f} away")
    axis.plot(*x[0], "o", color="k")
    axis.plot(*(x + z)[0], "o", color="k")
    axis.text(*(x[0] - [0.04, 0.08]), "x", ha="right", fontsize=13)
    axis.text(*((x + z)[0] + [0.0, 0.06]), "x + z", ha="center", fontsize=13)
    axis.set(title=f"{ball} in the box [0, 1]²", aspect="equal", xlim=(-0.05, 1.9), ylim=(-0.35, 1.6))
    axis.legend(loc="upper left", frameon=False, fontsize=10)
show.figure(
    figure, "02_project_then_clip", "Projecting and then clipping ends beside the nearest point of ball and box."
)

# %% [markdown]
# In many dimensions it is nearly always wrong. The best point invites the same mistake: the best point of the ball,
# after clipping, is not the best point of ball ∩ box.

# %%
rng = np.random.default_rng(0)
x = data.x_test[:400].astype(float)
z, g = 0.3 * rng.standard_normal(x.shape), rng.standard_normal(x.shape)


def clip(delta):
    """Return what is left of δ when x + δ is clipped to the box."""
    return np.clip(x + delta, 0, 1) - x


table = []
for ball in (Linf(0.1), L2(2), L1(20)):
    here = ball.within(0, 1).at(x)
    clipped, nearest = clip(ball.project(z)), here.project(z)
    other = abs(flat(clipped - nearest)).max(axis=1) > 1e-9
    farther = np.mean(L2.norm(z - clipped) / L2.norm(z - nearest)) - 1
    reached = np.mean(flat(g * clip(ball.linear_max(g))).sum(axis=1) / here.support(g))
    table.append([str(ball), f"{other.sum()} of {len(x)}", f"{farther:.2%}", f"{reached:.1%}"])
header = ["400 digits in [0, 1], z = 0.3 · Gaussian, seed 0", "project-then-clip is wrong", "and farther from z by"]
show.table([*header, "share of the maximum that the clipped best point reaches"], table)

# %% [markdown]
# ## One number is enough
#
# The exact projection onto ball ∩ box is hardly more work. By symmetry only magnitudes matter: let $a = |z|$, and let
# $b_j$ be the bound that the box sets in the direction of $z_j$. For $\ell_1$ we want
#
# $$\min_m \tfrac12 \lVert m - a \rVert_2^2 \quad \text{such that} \quad \sum_j m_j \leq \epsilon, \quad
# 0 \leq m_j \leq b_j .$$
#
# Put the budget into the objective with a multiplier $\lambda \geq 0$. Then each component is a problem of its own,
# with the solution $m_j = \mathrm{clip}(a_j - \lambda, 0, b_j)$. The right $\lambda$ is the one that spends the
# budget. As $\lambda$ grows, the sum falls in linear pieces, so a search over the kinks between them finds $\lambda$
# exactly.

# %%
show.source(L1.project_capped)

# %%
a, b, eps = np.array([1.0, 0.8, 0.55, 0.4, 0.2]), np.array([0.3, 0.9, 0.25, 0.6, 0.2]), 0.75
shrink = np.linspace(0, 1.05, 400)
spent = np.clip(a - shrink[:, None], 0, b)
m = L1(eps).within(0, b).at(np.zeros((1, 5))).project(a[None])[0]
exact = (a - m)[(m > 0) & (m < b)].mean()  # every free component is moved by λ
figure, axes = plots.figure_with_axes(1, 2, size=(4.6, 3.6))
axes[0, 0].plot(shrink, spent.sum(axis=1), color="k", lw=2, label="Σ clip(a − λ, 0, b)")
axes[0, 0].axhline(eps, color=plots.WRONG, ls="--", label=f"the budget ε = {eps}")
axes[0, 0].axvline(exact, color=plots.RIGHT, label=f"λ = {exact:.3f}")
axes[0, 0].set(xlabel="λ", ylabel="the sum that remains", title="one number to find", xlim=(0, 1.05), ylim=(0, None))
axes[0, 0].legend(frameon=False)
places = np.arange(1, 6)
axes[0, 1].bar(places, a, color="0.88", label="a = |z|")
axes[0, 1].bar(places, m, color=plots.RIGHT, width=0.5, label="the projection m")
axes[0, 1].hlines(b, places - 0.4, places + 0.4, color="k", label="the bound b")
axes[0, 1].set(xlabel="component", title="ℓ1 in a box: clip(a − λ, 0, b)")
axes[0, 1].legend(frameon=False)
assert np.isclose(m.sum(), eps)
show.figure(figure, "02_multiplier", "The budget spent falls with the multiplier; where it meets ε is the projection.")

# %% [markdown]
# **Exercise 2.5.** What is $m_j$ for $\ell_2$? (Minimise $\tfrac12 \lVert m - a \rVert_2^2 +
# \tfrac{\lambda}{2} (\lVert m \rVert_2^2 - \epsilon^2)$ for one component.) Check it.

# %% [markdown] tags=["answer"]
# The derivative $m_j - a_j + \lambda m_j$ is zero at $a_j / (1 + \lambda)$, so $m_j = \min(s\, a_j, b_j)$ with
# $s = 1 / (1 + \lambda)$. All components below their bound are scaled by the same $s$.

# %% tags=["answer"]
m = L2(0.5).within(0, b).at(np.zeros((1, 5))).project(a[None])[0]
scale = (m / a)[m < b - 1e-9]
assert np.allclose(scale, scale[0])
assert np.isclose(np.linalg.norm(m), 0.5)

# %% [markdown]
# ## Intersections of sets
#
# The solution uses only the bounds $b_j$, not where they come from. Three kinds of sets are nothing but bounds on
# $\delta$:
#
# | set | formula | bounds on $\delta$ at $x$ |
# | --- | --- | --- |
# | `Box(l, u)` | $l \leq x + \delta \leq u$ | $l - x$ and $u - x$ |
# | `Range(l, u)` | $l \leq \delta \leq u$ with $l \leq 0 \leq u$: a budget of each feature | $l$ and $u$ |
# | `Mask(m)` | $\delta_j = 0$ where $m_j$ is false | 0 and 0, or $-\infty$ and $\infty$ |
#
# `A & B` is the intersection of two sets, $\{\delta : \delta \in A,\ \delta \in B\}$. Several bounds together are again
# bounds: the larger of the lower ones and the smaller of the upper ones. So the same search is exact for one ball and
# any number of bounds, in any order. `ball.within(0, 1)` is short for `ball & Box(0, 1)`.
#
# The glasses of the slides are such a set. Pixels stay in $[0, 1]$, and only those of the glasses change, by at most
# 0.5:

# %%
glasses = np.zeros((28, 28, 1), dtype=bool)
glasses[8:13, 4:24] = True
glasses[9:12, 6:13] = glasses[9:12, 15:22] = False
threat = Linf(0.5) & Box(0, 1) & Mask(glasses)
print(threat)
x = data.x_test[:400].astype(float)
v = np.random.default_rng(0).standard_normal(x.shape)
delta_set = threat.at(x)
delta = delta_set.linear_max(v)
assert delta_set.contains(delta).all()
assert (delta[:, ~glasses] == 0).all()

# A & B = B & A, and (A & B) & C = A & (B & C)
assert threat == Mask(glasses) & Box(0, 1) & Linf(0.5)
assert threat == Linf(0.5) & (Box(0, 1) & Mask(glasses))
# the largest <v, δ>, component by component
low, high = threat.bounds(x)
best = v * np.where(v > 0, np.minimum(high, 0.5), np.maximum(low, -0.5))
assert np.allclose(delta_set.support(v), flat(best).sum(axis=1))
# the same budget for all features and directions is the ℓ∞ ball
assert np.array_equal(Range(-0.5, 0.5).project(v), Linf(0.5).project(v))

# %% [markdown]
# **Exercise 2.6.** What is the maximum of $\langle g, \delta \rangle$ over `Range(l, u)`? For which $l$ and $u$ is
# it a norm of $g$?

# %% [markdown] tags=["answer"]
# Each component moves to the end in the direction of $g_j$, so the maximum is $\sum_j \max(g_j l_j, g_j u_j)$. For
# $l = -u$ it is $\sum_j u_j |g_j|$, a weighted $\ell_1$ norm if all $u_j > 0$. For other $l$ and $u$ the maxima for
# $g$ and $-g$ differ, which a norm does not allow.

# %% tags=["answer"]
lower, upper, g = np.array([-1.0, 0.0, -0.5]), np.array([0.5, 2.0, 0.5]), np.array([[2.0, -1.0, 3.0]])
assert np.isclose(Range(lower, upper).support(g), np.maximum(g * lower, g * upper).sum())

# %% [markdown]
# ## Random starts
#
# PGD often begins at a random point of the set. A uniform point of the ball is easy to draw for $\ell_\infty$. For
# $\ell_2$ the direction of a Gaussian vector is uniform. The volume within radius $r$ grows like $r^p$, so the length
# is $\epsilon\, U^{1/p}$ with a uniform $U$ in $[0, 1]$. In many dimensions this length is nearly always close to
# $\epsilon$: almost all of the volume of a ball lies near its surface.

# %%
show.source(Linf.sample, L2.sample)

# %%
x = np.full((1500, 2), [0.75, 0.3])
figure, axes = plots.figure_with_axes(1, 4, size=(3.0, 3.0))
for axis, ball in zip(axes[0], balls, strict=True):
    threat = ball.within(0, 1) if isinstance(ball, L0) else ball
    axis.plot(*(x + threat.sample(rng, x)).T, ".", color=BLUE, ms=3, alpha=0.6)
    title = f"{ball}" + (" in the box" if threat is not ball else "")
    axis.set(title=title, aspect="equal", xlim=(-0.1, 1.6), ylim=(-0.5, 1.2))
show.figure(figure, "02_samples", "1,500 uniform points of each ball.")

# %%
figure, axes = plots.figure_with_axes(size=(7.0, 3.4))
for p, colour in ((2, "#92c5de"), (20, "#4393c3"), (784, "#053061")):
    lengths = L2.norm(L2(1).sample(rng, np.zeros((5000, p))))
    axes[0, 0].hist(lengths, bins=np.linspace(0, 1, 81), density=True, color=colour, alpha=0.8, label=f"p = {p}")
axes[0, 0].set(xlabel="‖δ‖₂ / ε", ylabel="density", title="uniform points of the ℓ2 ball, 5,000 each", yscale="log")
axes[0, 0].legend(frameon=False, loc="upper left")
show.figure(figure, "02_lengths", "As the dimension grows, the lengths of uniform points concentrate at the radius.")

# %% [markdown]
# **Exercise 2.7.** What share of the $\ell_2$ ball in 784 dimensions lies within 99 % of its radius? Compare with 5,000
# points.

# %% tags=["answer"]
share = 0.99**784
print(f"{share:.5f}")
lengths = L2.norm(L2(1).sample(rng, np.zeros((5000, 784))))
assert abs(np.mean(lengths <= 0.99) - share) < 5 * np.sqrt(share / 5000)

# %% [markdown]
# ## What ε looks like
#
# This section shows one digit and attacks an MLP. Each picture takes one step to the best point of the set for the
# gradient of the loss (FGSM, in the box). Judge for yourself which of these changes "look the same".

# %%
network = quick(data, "2-layer")
first = np.flatnonzero(predict(network, data.x_test[:50]) == data.y_test[:50])[0]
x, y = data.x_test[[first]], data.y_test[[first]]
sizes = {Linf: (0, 0.05, 0.1, 0.2, 0.3), L2: (0, 1, 2, 4, 6), L1: (0, 5, 10, 25, 50), L0: (0, 5, 10, 25, 50)}
lines = []
for norm, radii in sizes.items():
    images = np.concatenate([x + fgsm(network, x, y, norm(radius).within(0, 1)) for radius in radii])
    labels = predict(network, images)
    names = [f"{radius:g}: “{data.class_names[k]}”" for radius, k in zip(radii, labels, strict=True)]
    lines.append((norm.name, images, names, labels == y))
figure = plots.before_and_after(lines, (0, 1))
figure.set_size_inches(7.5, 6.8)
figure.suptitle("radius and prediction (red: fooled); MLP 784-200-10, one step, 0 ≤ x + δ ≤ 1", fontsize=10)
show.figure(figure, "02_eps_on_digits", "A digit changed by growing radii in four norms, with the prediction for each.")
