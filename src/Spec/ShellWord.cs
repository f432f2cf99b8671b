namespace Phi3VCluster.Spec;

/// <summary>A word as a shell takes it, for commands that a message names.</summary>
public static class ShellWord
{
    public static string Of(string word) => word.Length > 0 && word.All(c => char.IsAsciiLetterOrDigit(c) || "_-./:=@%+,~".Contains(c))
        ? word
        : $"'{word.Replace("'", @"'\''", StringComparison.Ordinal)}'";
}
