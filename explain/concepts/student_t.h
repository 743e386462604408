// Student's t distribution and the test whether two samples have the same mean.
#pragma once

#include <span>

namespace backlight {

/// I_x(a, b), the regularised incomplete beta function, for a, b > 0 and 0 <= x <= 1, by its continued
/// fraction. Source: Abramowitz and Stegun, 26.5.8, evaluated as Lentz does.
[[nodiscard]] double incomplete_beta(double a, double b, double x);

/// P(|T| >= |t|) of Student's distribution: I_{v/(v+t²)}(v/2, 1/2), v > 0 degrees of freedom.
[[nodiscard]] double student_t_two_sided(double t, double degrees);

struct TTest {
    double t = 0, degrees = 0;
    double p = 1;  // two-sided
};
/// Welch's test for unequal variances. Two samples without any spread: p = 1 if their means agree, else 0.
/// Throws Error unless both have two numbers or more. Source: Welch, "The generalization of 'Student's'
/// problem ...", Biometrika, 1947.
[[nodiscard]] TTest welch_t_test(std::span<const double> a, std::span<const double> b);

}  // namespace backlight
