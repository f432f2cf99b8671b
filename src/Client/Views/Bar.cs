using Phi3VCluster.Client.App;

namespace Phi3VCluster.Client.Views;

/// <summary>
/// A progress bar. Own, because the library's puts bar and text on one line, which 80 columns have no room for. Done and undone differ in
/// form too: colours are not everywhere, and not for everybody.
/// </summary>
internal static class Bar
{
    private const int Widest = 32, Percent = 5;

    /// <param name="share">0 to 1.</param>
    public static string Of(double share, Output output)
    {
        var width = Math.Clamp(output.Width - Percent - 1, 1, Widest);
        share = Math.Clamp(share, 0, 1);
        var (done, undone) = (new string('█', (int)(share * width)), new string('░', width - (int)(share * width)));
        return $"{(output.HasColors ? $"\e[32m{done}\e[0m" : done)}{undone} {(int)(share * 100),3}%";
    }
}
