namespace Phi3VCluster.Client.Views;

/// <summary>
/// A progress bar as markup. Own, because the library's puts bar and text on one line, which 80 columns have no room for.
/// </summary>
internal static class Bar
{
    private const int Width = 32;

    /// <param name="share">0 to 1.</param>
    public static string Of(double share)
    {
        var done = (int)(Math.Clamp(share, 0, 1) * Width);
        return $"[green]{new string('━', done)}[/][grey]{new string('━', Width - done)}[/] {(int)(Math.Clamp(share, 0, 1) * 100),3}%";
    }
}
