using MergeKit.Core.Diagnostics;
namespace MergeKit.Core.Recipes;
/// <summary>temporary</summary>
public static class ParameterChecker { /// <summary>temporary</summary>
public static void Check(Recipe r, MethodDescription m, List<Problem> p) { } }
