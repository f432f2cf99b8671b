using System.Globalization;

namespace Phi3VCluster.Spec;

/// <summary>What a user gave, as messages show it: a picture in base64 or a log of a thousand lines must not fill the screen.</summary>
public static class Shown
{
    /// <summary>Lines of a list that a message shows at most.</summary>
    public const int MostLines = 8;

    private const int MostCharacters = 200;

    /// <summary>The value, its end left out where it is long.</summary>
    public static string Value(string value)
    {
        if (value.Length <= MostCharacters) return value;
        var kept = MostCharacters - (char.IsHighSurrogate(value[MostCharacters - 1]) ? 1 : 0);
        return string.Create(CultureInfo.InvariantCulture, $"{value.AsSpan(0, kept)}… ({value.Length} characters)");
    }
}
