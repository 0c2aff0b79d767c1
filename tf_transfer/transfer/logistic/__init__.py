"""Solves L2-regularized logistic regression along a path of penalties.

`path.fit_path` minimizes, for each penalty,

  sum_i loss_i(W x_i + b) + penalty / 2 * |W|^2

by Newton's method in `jax.jit`, on all devices of this process, and proves for
each solution how far its objective can be from the optimum. In the order of a
call, the modules are:

  path           what callers use: `fit_path`, `refit`, `logits`
  validation     checks features, labels and penalties
  solver         in which form a problem is solved, and in which type
  problem        the data of one problem on the devices of a mesh
  spectrum       the covariance's eigenbasis; the row space where N < D
  schedule       chooses the next penalty's preconditioner by its cost
  continuation   from one penalty to the next: extrapolates and solves
  newton         Newton's method for one penalty
  objective      objective, gradient and certificate; the bound's derivation
  hessian        products with the Hessian
  preconditioner approximate inverses of the Hessian, made of those in
                 leading_examples, block_cholesky and bfgs
  curvature      losses of logits and their derivatives
  blocks         passes through the examples in blocks of rows
  float32        linear functions in float32 of vectors of any magnitude

Shapes in docstrings are made of

  N  examples, those that fill up the devices included
  D  values of an example's features
  R  values of an example's row: D, or N where the problem is solved in the
     row space
  C  classes
  E  rows of a block
  M  leading directions (see `leading_examples`)
  K  directions that the BFGS history holds

and P is the number of penalties. Everything but `path` is meant to be called
with 64-bit types enabled, as `path` does.
"""
